//! Which neuron a spike is of: from electrodes and sorted ids to the indices of a session.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clap::ValueEnum;
use glauber::proto::v1;

use super::message::Unit;
use crate::cli::text;

/// What a neuron is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Policy {
    /// 'sorted' when any spike is sorted, else 'electrodes'
    Auto,
    /// Each sorted unit; spikes that are not sorted (id 0) are left out
    Sorted,
    /// Each sorted unit, and all unsorted spikes of an electrode together as one more
    All,
    /// Each electrode with all its spikes, sorted or not
    Electrodes,
}

/// A neuron of the session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Name of the electrode.
    pub(super) electrode: String,
    /// The processor that finds its spikes; any when `None`.
    pub(super) node: Option<i64>,
    /// The sorted unit; all spikes of the electrode that are of no neuron of their own when `None`.
    pub(super) sorted_id: Option<u32>,
}

impl Entry {
    /// The neuron for people.
    fn label(&self, with_node: bool) -> String {
        let mut label = self.electrode.clone();
        if let (true, Some(node)) = (with_node, self.node) {
            label = format!("{label} of node {node}");
        }
        match self.sorted_id {
            Some(0) => label + " unsorted",
            Some(id) => format!("{label} unit {id}"),
            None => label,
        }
    }
}

/// What becomes of a spike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belongs {
    /// To the neuron of that index.
    Neuron(u32),
    /// To none, since unsorted spikes are left out.
    Unsorted,
    /// To a unit that was not known when the session began.
    Unknown,
}

/// The neurons of a session, fixed when it is opened.
#[derive(Debug, Clone)]
pub(super) struct Roster {
    entries: Vec<Entry>,
    leaves_unsorted_out: bool,
    /// Where each unit that came belongs, by its number.
    known: HashMap<u32, Belongs>,
    /// Spikes of units that were not known.
    unknown: BTreeMap<Unit, u64>,
    unsorted: u64,
}

/// A list of neurons that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RosterError {
    #[error("line {line}: '{text}' stands there a second time")]
    Twice { line: usize, text: String },
    #[error("line {line}: {problem}")]
    Line { line: usize, problem: &'static str },
    #[error("no neurons in it")]
    Empty,
}

impl Roster {
    /// The neurons among the units seen, in the order of electrodes ("Electrode 2" before "Electrode 10") and ids.
    pub(super) fn of_units<'a>(units: impl Iterator<Item = &'a Unit> + Clone, policy: Policy) -> Self {
        let has_sorted = units.clone().any(|unit| unit.sorted_id != 0);
        let policy = match policy {
            Policy::Auto if has_sorted => Policy::Sorted,
            Policy::Auto => Policy::Electrodes,
            policy => policy,
        };
        let entry = |unit: &Unit| Entry {
            electrode: unit.electrode.clone(),
            node: Some(unit.node),
            sorted_id: (policy != Policy::Electrodes).then_some(unit.sorted_id),
        };
        let kept = units.filter(|unit| policy != Policy::Sorted || unit.sorted_id != 0);
        let mut entries: Vec<Entry> = kept.map(entry).collect::<BTreeSet<_>>().into_iter().collect();
        entries.sort_by_cached_key(|entry| (natural(&entry.electrode), entry.node, entry.sorted_id));
        Self::new(entries, policy == Policy::Sorted)
    }

    /// The neurons of a list: an electrode on each line, and after a comma the sorted unit. An electrode alone has all its spikes that are of
    /// none of its units in the list. A line that begins with `#` is a comment. A name in quotes may hold anything, with a backslash before quotes and
    /// backslashes; ` of node ` and a number after it mean the electrode of that processor alone.
    pub(super) fn from_list(list: &str) -> Result<Self, RosterError> {
        let mut entries = Vec::new();
        for (line, text) in (1..).zip(list.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let entry = if text.starts_with('"') { quoted(text) } else { Some(bare(text)) };
            let Some(entry) = entry else {
                let problem = "expected a name in quotes, then at most ' of node ' and its number, and a comma and the sorted id";
                return Err(RosterError::Line { line, problem });
            };
            let electrode = &entry.electrode;
            if electrode.is_empty() {
                return Err(RosterError::Line { line, problem: "no name of an electrode" });
            }
            if electrode.len() > 200 || electrode.contains(char::is_control) {
                let problem = "a name of more than 200 bytes or with control characters";
                return Err(RosterError::Line { line, problem });
            }
            if entries.contains(&entry) {
                return Err(RosterError::Twice { line, text: text.to_owned() });
            }
            entries.push(entry);
        }
        if entries.is_empty() { Err(RosterError::Empty) } else { Ok(Self::new(entries, false)) }
    }

    fn new(entries: Vec<Entry>, leaves_unsorted_out: bool) -> Self {
        Self { entries, leaves_unsorted_out, known: HashMap::new(), unknown: BTreeMap::new(), unsorted: 0 }
    }

    /// Number of neurons.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The list as [`from_list`](Self::from_list) reads it.
    pub(super) fn to_list(&self) -> String {
        let nodes = self.nodes();
        let line = |entry: &Entry| {
            let plain = Entry { node: None, ..entry.clone() };
            let id = entry.sorted_id.map(|id| format!(", {id}")).unwrap_or_default();
            let text = format!("{}{id}", entry.electrode);
            let is_plain = !text.starts_with(['"', '#']) && text.trim() == text && bare(&text) == plain;
            let node = entry
                .node
                .filter(|_| nodes.get(entry.electrode.as_str()).is_some_and(|nodes| nodes.len() > 1));
            match node {
                None if is_plain => text + "\n",
                node => {
                    let name = entry.electrode.replace('\\', "\\\\").replace('"', "\\\"");
                    let node = node.map(|node| format!("{OF_NODE}{node}")).unwrap_or_default();
                    format!("\"{name}\"{node}{id}\n")
                }
            }
        };
        self.entries.iter().map(line).collect()
    }

    /// The processors that find spikes of each name.
    fn nodes(&self) -> HashMap<&str, BTreeSet<Option<i64>>> {
        let mut nodes: HashMap<&str, BTreeSet<Option<i64>>> = HashMap::new();
        for entry in &self.entries {
            nodes.entry(&entry.electrode).or_default().insert(entry.node);
        }
        nodes
    }

    /// The neurons as the session is told of them.
    pub(super) fn neurons(&self) -> Vec<v1::Neuron> {
        let nodes = self.nodes();
        let with_node =
            |entry: &Entry| nodes.get(entry.electrode.as_str()).is_some_and(|nodes| nodes.len() > 1);
        let neuron =
            |(id, entry): (i64, &Entry)| v1::Neuron { id, label: text::name(&entry.label(with_node(entry))) };
        (0..).zip(&self.entries).map(neuron).collect()
    }

    /// Where a spike of the unit belongs, and whether that is told of this unit for the first time; spikes that belong nowhere are counted.
    pub(super) fn place(&mut self, number: u32, unit: &Unit) -> (Belongs, bool) {
        let before = self.known.get(&number).copied();
        let belongs = before.unwrap_or_else(|| self.find(unit));
        self.known.insert(number, belongs);
        match belongs {
            Belongs::Neuron(_) => {}
            Belongs::Unsorted => self.unsorted += 1,
            Belongs::Unknown => *self.unknown.entry(unit.clone()).or_default() += 1,
        }
        (belongs, before.is_none())
    }

    fn find(&self, unit: &Unit) -> Belongs {
        let at = |sorted_id: Option<u32>| {
            self.entries.iter().position(|entry| {
                entry.electrode == unit.electrode
                    && entry.node.is_none_or(|node| node == unit.node)
                    && entry.sorted_id == sorted_id
            })
        };
        match at(Some(unit.sorted_id)).or_else(|| at(None)) {
            Some(index) => Belongs::Neuron(index as u32),
            None if unit.sorted_id == 0 && self.leaves_unsorted_out => Belongs::Unsorted,
            None => Belongs::Unknown,
        }
    }

    /// Spikes that were left out as not sorted.
    pub(super) fn unsorted(&self) -> u64 {
        self.unsorted
    }

    /// Units that were not known when the session began, and how many spikes came of each.
    pub(super) fn unknown(&self) -> &BTreeMap<Unit, u64> {
        &self.unknown
    }
}

/// What stands between a name in quotes and the number of a processor.
const OF_NODE: &str = " of node ";

/// A line of a list without quotes: the name of an electrode, and perhaps a comma and the sorted unit.
fn bare(text: &str) -> Entry {
    let id = text.rsplit_once(',').and_then(|(name, id)| Some((name.trim(), id.trim().parse().ok()?)));
    let (electrode, sorted_id) = id.map_or((text, None), |(name, id)| (name, Some(id)));
    Entry { electrode: electrode.to_owned(), node: None, sorted_id }
}

/// A line of a list that begins with a name in quotes.
fn quoted(text: &str) -> Option<Entry> {
    let mut electrode = String::new();
    let mut rest = text.strip_prefix('"')?.chars();
    loop {
        match rest.next()? {
            '"' => break,
            '\\' => electrode.push(rest.next().filter(|&c| c == '\\' || c == '"')?),
            c => electrode.push(c),
        }
    }
    let (before, id) = match rest.as_str().split_once(',') {
        Some((before, id)) => (before, Some(id.trim().parse().ok()?)),
        None => (rest.as_str(), None),
    };
    let node = match before.trim_end() {
        "" => None,
        node => Some(node.strip_prefix(OF_NODE)?.trim().parse().ok()?),
    };
    Some(Entry { electrode, node, sorted_id: id })
}

impl std::fmt::Display for Unit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entry = Entry {
            electrode: self.electrode.clone(),
            node: Some(self.node),
            sorted_id: Some(self.sorted_id),
        };
        out.write_str(&entry.label(false))
    }
}

/// A name cut into text and numbers, so that 2 comes before 10.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut pieces = vec![(String::new(), 0_u64)];
    for c in name.chars() {
        if let Some((text, number)) = pieces.last_mut() {
            match c.to_digit(10) {
                Some(digit) => *number = number.saturating_mul(10).saturating_add(u64::from(digit)),
                None if *number == 0 && !text.ends_with(|c: char| c.is_ascii_digit()) => text.push(c),
                None => pieces.push((c.to_string(), 0)),
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(electrode: &str, sorted_id: u32) -> Unit {
        Unit { electrode: electrode.to_owned(), node: 105, sorted_id }
    }

    fn labels(roster: &Roster) -> Vec<String> {
        roster.neurons().into_iter().map(|neuron| neuron.label).collect()
    }

    #[test]
    fn policies_make_the_neurons_they_say() {
        let units = [unit("Tetrode 10", 0), unit("Tetrode 2", 2), unit("Tetrode 2", 0), unit("Tetrode 2", 1)];
        let of = |policy| labels(&Roster::of_units(units.iter(), policy));
        assert_eq!(of(Policy::Sorted), ["Tetrode 2 unit 1", "Tetrode 2 unit 2"]);
        assert_eq!(of(Policy::Auto), of(Policy::Sorted), "something is sorted");
        assert_eq!(
            of(Policy::All),
            ["Tetrode 2 unsorted", "Tetrode 2 unit 1", "Tetrode 2 unit 2", "Tetrode 10 unsorted"]
        );
        assert_eq!(of(Policy::Electrodes), ["Tetrode 2", "Tetrode 10"]);
        let unsorted = [unit("Electrode 1", 0), unit("Electrode 2", 0)];
        assert_eq!(labels(&Roster::of_units(unsorted.iter(), Policy::Auto)), ["Electrode 1", "Electrode 2"]);
    }

    #[test]
    fn unsorted_and_unknown_spikes_are_counted_apart() {
        let mut roster = Roster::of_units([unit("T", 1)].iter(), Policy::Sorted);
        assert_eq!(roster.place(0, &unit("T", 1)), (Belongs::Neuron(0), true));
        assert_eq!(roster.place(1, &unit("T", 0)), (Belongs::Unsorted, true));
        assert_eq!(roster.place(2, &unit("T", 2)), (Belongs::Unknown, true));
        assert_eq!(roster.place(2, &unit("T", 2)), (Belongs::Unknown, false));
        assert_eq!((roster.unsorted(), roster.unknown()[&unit("T", 2)]), (1, 2));
    }

    #[test]
    fn a_list_names_units_and_whole_electrodes() {
        let mut roster = Roster::from_list("# best first\nT 3, 2\n\nT 3,1\n  T 3\nA, B, 7\n").unwrap();
        assert_eq!(labels(&roster), ["T 3 unit 2", "T 3 unit 1", "T 3", "A, B unit 7"]);
        assert_eq!(roster.place(0, &unit("T 3", 1)).0, Belongs::Neuron(1));
        assert_eq!(roster.place(1, &unit("T 3", 0)).0, Belongs::Neuron(2), "what has no line of its own");
        assert_eq!(roster.place(2, &unit("T 3", 9)).0, Belongs::Neuron(2));
        assert_eq!(roster.place(3, &unit("A, B", 0)).0, Belongs::Unknown);
        assert_eq!(labels(&Roster::from_list(&roster.to_list()).unwrap()), labels(&roster));
    }

    #[test]
    fn wrong_lists_are_told_by_line() {
        let error = |list: &str| Roster::from_list(list).unwrap_err().to_string();
        assert_eq!(error("a\n\na"), "line 3: 'a' stands there a second time");
        assert_eq!(error("\n, 3"), "line 2: no name of an electrode");
        assert_eq!(error("# nothing\n"), "no neurons in it");
    }

    #[test]
    fn electrodes_of_one_name_are_told_apart_by_their_nodes() {
        let other = Unit { node: 106, ..unit("T", 1) };
        let roster = Roster::of_units([unit("T", 1), other].iter(), Policy::Sorted);
        assert_eq!(labels(&roster), ["T of node 105 unit 1", "T of node 106 unit 1"]);
    }

    proptest::proptest! {
        /// Whatever electrodes are called.
        #[test]
        fn a_list_that_was_written_reads_back_equal(
            names in proptest::collection::btree_set(("[ab,#\" \\\\\u{a0}0-3é]{1,5}", 104..107_i64, 0..3_u32), 1..12),
            policy in proptest::sample::select(vec![Policy::Sorted, Policy::All, Policy::Electrodes]),
        ) {
            let units: Vec<Unit> =
                names.into_iter().map(|(electrode, node, sorted_id)| Unit { electrode, node, sorted_id }).collect();
            let mut written = Roster::of_units(units.iter(), policy);
            proptest::prop_assume!(written.len() > 0);
            let mut read = Roster::from_list(&written.to_list()).unwrap();
            proptest::prop_assert_eq!(read.to_list(), written.to_list());
            proptest::prop_assert_eq!(labels(&read), labels(&written));
            for (number, unit) in (0..).zip(&units) {
                let (there, here) = (written.place(number, unit).0, read.place(number, unit).0);
                // The list does not say that unsorted spikes were left out on purpose.
                proptest::prop_assert!(there == here || there == Belongs::Unsorted, "{:?}: {:?} {:?}", unit, there, here);
            }
        }
    }

    #[test]
    fn a_list_of_before_means_what_it_meant() {
        let list = "T 3, 2\nA, B, 7\nA, B\n\"T\" of node 106, 1\n\"# \\\"x\\\"\"\n";
        let roster = Roster::from_list(list).unwrap();
        assert_eq!(labels(&roster), ["T 3 unit 2", "A, B unit 7", "A, B", "T unit 1", "# \"x\""]);
        for wrong in ["\"T", "\"T\" 1", "\"T\", x", "\"T\" of node x", "\"T\\n\""] {
            assert!(Roster::from_list(wrong).is_err(), "{wrong}");
        }
        assert_eq!(roster.entries[3].node, Some(106));
    }
}
