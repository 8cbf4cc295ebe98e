"""What the live page costs a browser.  measure_page.py URL [SECONDS]

For each open session: milliseconds to draw the map, the raster and the scatter (shortest, median and longest of 30: the shortest is what it takes when nothing
else is at work), and to order the map by clusters in its worker; then, for some seconds of the page as it runs, the time between frames and bytes.
"""
import statistics
import sys
import time

from browser import Browser

DRAW = "(() => { const t = []; for (let k = 0; k < 30; k++) { const began = performance.now(); %s.draw(); t.push(performance.now() - began); } return t; })()"
FRAMES = """new Promise(done => { const gaps = []; let last = performance.now(); const until = last + %d;
  const frame = now => { gaps.push(now - last); last = now; now < until ? requestAnimationFrame(frame) : done(gaps); }; requestAnimationFrame(frame); })"""


def main():
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with Browser(height=1560) as page:
        page.open(sys.argv[1])
        page.until("globalThis.glauber?.state.listed?.sessions.length > 0")
        for session in page.run("glauber.state.listed.sessions.filter(s => s.state == 'open').map(s => s.session_id)"):
            page.choose("#session", session)
            page.until(f"glauber.state.estimate?.session_id == '{session}' && glauber.raster.endBin && glauber.state.hz?.length == glauber.map.n", 300)
            print(f"n = {page.run('glauber.map.n')}, map of {page.run('Math.round(glauber.map.plot.side)')} pixels")
            draw(page, "map, whole", "glauber.map")
            page.run("glauber.map.levels = null; glauber.map.draw = (draw => function () { this.levels = null; draw.call(this); })(glauber.map.draw)")
            draw(page, "map, whole, of a new matrix", "glauber.map")
            page.run("delete glauber.map.draw; glauber.map.zoom(0.1)")
            draw(page, "map, zoomed in", "glauber.map")
            page.run("glauber.map.showAll()")
            draw(page, "raster and rates", "glauber.raster")
            draw(page, "scatter", "glauber.scatter")
            page.run("glauber.state.costs.cluster = 0")
            page.choose("#order", "cluster")
            page.until("glauber.state.costs.cluster", 120)
            print(f"  order by clusters, in a worker  {page.run('glauber.state.costs.cluster'):8.0f} ms")
            before = page.run("[glauber.traffic.bytes, glauber.traffic.requests, glauber.state.session.refreshes_published]")
            began = time.monotonic()
            gaps = page.run(FRAMES % (1000 * seconds))
            took = time.monotonic() - began
            after = page.run("[glauber.traffic.bytes, glauber.traffic.requests, glauber.state.session.refreshes_published]")
            tell("between frames", gaps[1:])
            print(f"  {(after[0] - before[0]) / took / 1e3:.1f} kB/s in {(after[1] - before[1]) / took:.1f} requests/s, {after[2] - before[2]} publications in {took:.0f} s")
            for kind, cost in sorted(page.run("glauber.state.costs").items()):
                if isinstance(cost, dict):
                    print(f"  {kind}, asked and shown: {cost['ms']:.0f} ms")
            page.choose("#order", "index")


def draw(page, name, what):
    tell(name, page.run(DRAW % what))


def tell(name, ms):
    print(f"  {name:30}  {min(ms):8.1f} {statistics.median(ms):8.1f} {max(ms):8.1f} ms")


main()
