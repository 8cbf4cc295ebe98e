//! The table in the README, and its plots beside it.

use super::{Asked, make_directory, write};

const BEGIN: &str = "<!-- the table of `make bench`: begin -->";
const END: &str = "<!-- the table of `make bench`: end -->";
/// Files, and what they show.
const PLOTS: [(&str, &str); 3] = [
    ("counting-neurons.svg", "Counting time per bin against neurons"),
    ("counting-bins.svg", "Counting time against bins"),
    ("refresh-neurons.svg", "Time of a refresh against neurons"),
];

/// Put the table between its markers, and copy the plots that were drawn.
pub(crate) fn write_all(asked: &Asked, table: &str) -> Result<(), String> {
    let path = asked.root.join("README.md");
    let readme =
        std::fs::read_to_string(&path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    let place = readme.find(BEGIN).zip(readme.find(END)).filter(|(begin, end)| begin < end);
    let (begin, end) = place.ok_or(format!("{} has no '{BEGIN}' before '{END}'", path.display()))?;
    let before = &readme[..begin + BEGIN.len()];
    let images: String =
        PLOTS.iter().map(|(name, shows)| format!("\n![{shows}](docs/bench/{name})")).collect();
    let text = format!("{before}\n{}\n{images}\n{}", table.trim_end(), &readme[end..]);
    let plots = asked.root.join("docs/bench");
    make_directory(&plots)?;
    for (name, _) in PLOTS {
        let (from, to) = (asked.directory.join(name), plots.join(name));
        std::fs::copy(&from, &to).map_err(|error| format!("copying {}: {error}", from.display()))?;
    }
    write(&path, &text)?;
    eprintln!("written: {} and {}", path.display(), plots.display());
    Ok(())
}
