use crate::equilibrium::EquilibriumError;
use crate::simulate::lattice_pairs;

/// Which couplings are one and the same parameter, and which fields. Pairs and fields of no class are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tying {
    n_neurons: usize,
    /// Neurons `i < j` of a pair and its class.
    pairs: Vec<(usize, usize, usize)>,
    /// Class of each neuron's field.
    fields: Vec<Option<usize>>,
    pair_counts: Vec<u64>,
    field_counts: Vec<u64>,
}

impl Tying {
    /// Most classes of couplings and of fields together.
    pub const CLASSES_MAX: usize = 512;

    /// From pairs `(i, j, class)` with `i ≠ j`, each at most once, and the class of each neuron's field. Classes of each kind are numbered from
    /// 0 without holes.
    ///
    /// # Errors
    /// [`EquilibriumError`] for a neuron out of range, a neuron coupled to itself, a pair twice, a class without members, or a number of
    /// classes that is 0 or above [`Self::CLASSES_MAX`].
    pub fn new(pairs: &[(usize, usize, usize)], fields: &[Option<usize>]) -> Result<Self, EquilibriumError> {
        let n_neurons = fields.len();
        let out_of_range = |what, found: usize, max: usize| {
            Err(EquilibriumError::Range { what, found: found as f64, min: 0.0, max: max as f64 })
        };
        let mut sorted = Vec::with_capacity(pairs.len());
        for &(i, j, class) in pairs {
            if i.max(j) >= n_neurons {
                return out_of_range("neuron of a tied pair", i.max(j), n_neurons.saturating_sub(1));
            }
            if class >= Self::CLASSES_MAX {
                return out_of_range("class of a tied pair", class, Self::CLASSES_MAX - 1);
            }
            sorted.push((i.min(j), i.max(j), class));
        }
        sorted.sort_unstable();
        let repeats = sorted.windows(2).filter(|two| (two[0].0, two[0].1) == (two[1].0, two[1].1)).count();
        let own = sorted.iter().filter(|(i, j, _)| i == j).count();
        if repeats + own > 0 {
            let what = "pairs that are tied twice, or of a neuron with itself";
            return Err(EquilibriumError::Count { what, min: 0, max: 0, found: repeats + own });
        }
        if let Some(&class) = fields.iter().flatten().find(|&&class| class >= Self::CLASSES_MAX) {
            return out_of_range("class of a tied field", class, Self::CLASSES_MAX - 1);
        }
        let pair_counts = members(sorted.iter().map(|&(_, _, class)| class));
        let field_counts = members(fields.iter().flatten().copied());
        let empty = pair_counts.iter().chain(&field_counts).filter(|&&count| count == 0).count();
        if empty > 0 {
            let what = "classes without members";
            return Err(EquilibriumError::Count { what, min: 0, max: 0, found: empty });
        }
        let found = pair_counts.len() + field_counts.len();
        if !(1..=Self::CLASSES_MAX).contains(&found) {
            return Err(EquilibriumError::Count { what: "classes", min: 1, max: Self::CLASSES_MAX, found });
        }
        Ok(Self { n_neurons, pairs: sorted, fields: fields.to_vec(), pair_counts, field_counts })
    }

    /// The homogeneous lattice: one coupling for all nearest neighbours, one field for all sites; pixel `(r, c)` is neuron
    /// `r · columns + c`.
    ///
    /// # Errors
    /// [`EquilibriumError`] without rows or columns, with too many sites, or, for a periodic lattice, with fewer than 3 of either.
    pub fn lattice(rows: usize, columns: usize, periodic: bool) -> Result<Self, EquilibriumError> {
        let min = if periodic { 3 } else { 1 };
        let shape =
            |what, found| EquilibriumError::Count { what, min, max: crate::model::NEURONS_MAX / min, found };
        let pairs = lattice_pairs(rows, columns, periodic)
            .map_err(|_| if rows < min { shape("rows", rows) } else { shape("columns", columns) })?;
        let pairs: Vec<_> = pairs.into_iter().map(|(i, j)| (i, j, 0)).collect();
        Self::new(&pairs, &vec![Some(0); rows * columns])
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.n_neurons
    }

    /// Pairs `(i, j, class)`, `i < j`, increasing.
    #[must_use]
    pub fn pairs(&self) -> &[(usize, usize, usize)] {
        &self.pairs
    }

    /// Class of each neuron's field.
    #[must_use]
    pub fn fields(&self) -> &[Option<usize>] {
        &self.fields
    }

    /// Number of pairs of each class of couplings.
    #[must_use]
    pub fn pair_counts(&self) -> &[u64] {
        &self.pair_counts
    }

    /// Number of neurons of each class of fields.
    #[must_use]
    pub fn field_counts(&self) -> &[u64] {
        &self.field_counts
    }
}

/// Members of each class up to the largest that has one.
fn members(classes: impl Iterator<Item = usize>) -> Vec<u64> {
    let mut counts = Vec::new();
    for class in classes {
        if class >= counts.len() {
            counts.resize(class + 1, 0);
        }
        counts[class] += 1;
    }
    counts
}
