//! How times grow with neurons and bins: slopes of straight lines through their logarithms, and plots.

use std::time::Instant;

use glauber::model::Lags;
use glauber::moments::Accumulator;

use super::counting::{Add, BINS, add_us};
use super::plot::Plot;
use super::row::{Row, digits};
use super::{Asked, Found, bins};

pub(crate) fn measure(asked: &Asked, found: &mut Found) -> Vec<Row> {
    let neurons = Plot {
        file: "counting-neurons",
        title: "Counting, 1 % active, lag 1, one core",
        x: "neurons",
        y: "µs per bin",
        points: against_neurons(asked),
    };
    let time = Plot {
        file: "counting-bins",
        title: "Counting, n = 1000, 1 % active, lag 1, one core",
        x: "bins",
        y: "ms in all",
        points: against_bins(asked),
    };
    let refresh = Plot {
        file: "refresh-neurons",
        title: "A refresh, three mean-field estimators, one ridge, one core",
        x: "neurons",
        y: "ms",
        points: found.refreshes.iter().map(|&(n, ms)| (n as f64, ms)).collect(),
    };
    let itself = asked.myself("scaling");
    let refreshes = format!("{} --only estimators", asked.myself("scaling"));
    [(neurons, &itself), (time, &itself), (refresh, &refreshes)]
        .into_iter()
        .map(|(plot, command)| slope_row(asked, &plot).by(command))
        .collect()
}

fn slope_row(asked: &Asked, plot: &Plot) -> Row {
    let what = format!("{}: {} against {}", plot.title, plot.y, plot.x);
    if plot.points.len() < 2 {
        return Row::skipped(what, "there are no times of it in this run");
    }
    if let Err(why) = plot.write(&asked.directory) {
        return Row::failed(what, format!("drawing it: {why}"));
    }
    let steps: Vec<String> =
        plot.points.iter().map(|(x, y)| format!("{} at {}", digits(*y), digits(*x))).collect();
    let last = plot.points[plot.points.len() - 2..].to_vec();
    Row::new(what, slope(&plot.points), "slope, log-log").beside(format!(
        "{}; last step {:.2}",
        steps.join(", "),
        slope(&last)
    ))
}

/// The slope of the least-squares line through the logarithms.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let logarithms: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logarithms.len() as f64;
    let mean_x = logarithms.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = logarithms.iter().map(|(_, y)| y).sum::<f64>() / count;
    let both: f64 = logarithms.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    both / logarithms.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

fn against_neurons(asked: &Asked) -> Vec<(f64, f64)> {
    let sizes: &[usize] = asked.pick(&[100, 300, 1000], &[100, 300, 1000, 3000, 10_000]);
    let us = |&n: &usize| {
        let block = bins::sparse(n, n.div_ceil(100), BINS, 3);
        (n as f64, add_us(n, &block, &Lags::default(), Add::Newest(1)))
    };
    sizes.iter().map(us).collect()
}

fn against_bins(asked: &Asked) -> Vec<(f64, f64)> {
    let n = 1000;
    let sizes: &[usize] = asked.pick(&[1000, 10_000], &[1000, 10_000, 100_000, 1_000_000]);
    let longest = sizes[sizes.len() - 1];
    let block = bins::sparse(n, n / 100, longest, 3);
    let ms = |&bins: &usize| {
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..3 {
            let mut counts = Accumulator::new(n, &Lags::default());
            // The memory is there before.
            counts.add_newest(&block, 0..BINS.min(longest));
            let began = Instant::now();
            counts.add_newest(&block, 0..bins);
            times.push(began.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        (bins as f64, 1e3 * times[1])
    };
    sizes.iter().map(ms).collect()
}
