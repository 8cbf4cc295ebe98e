//! In which order neurons stand.

use clap::ValueEnum;

use crate::cli::plot::material::Couplings;

/// What rows and columns are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// As recorded
    Index,
    /// The most strongly coupled first; of spikes alone, the most active first
    Strength,
    /// Neurons that are coupled stand together
    Cluster,
}

/// Most neurons that are clustered; more stay in the order of their strength.
const CLUSTERED_MAX: usize = 2000;

/// Indices of the neurons in the order asked for. What is not estimated comes last, unless as recorded.
pub(crate) fn of_couplings(couplings: &Couplings, sort: Sort) -> Vec<usize> {
    let n = couplings.status.len();
    let taking_part = |i: usize| (0..n).any(|j| couplings.has_error(i, j) || couplings.has_error(j, i));
    match sort {
        Sort::Index => (0..n).collect(),
        Sort::Strength => by_strength(couplings),
        Sort::Cluster if n > CLUSTERED_MAX => by_strength(couplings),
        Sort::Cluster => {
            let (inside, outside): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| taking_part(i));
            let mut order = clustered(couplings, &inside);
            order.extend(outside);
            order
        }
    }
}

/// How strongly two neurons are coupled, both ways, as far as both are estimated.
fn strength(couplings: &Couplings, i: usize, j: usize) -> f64 {
    let one = |i, j| if couplings.has_error(i, j) { couplings.at(i, j).abs() } else { 0.0 };
    one(i, j) + one(j, i)
}

fn by_strength(couplings: &Couplings) -> Vec<usize> {
    let n = couplings.status.len();
    let total = |i: usize| (0..n).filter(|&j| j != i).map(|j| strength(couplings, i, j)).sum::<f64>();
    let totals: Vec<f64> = (0..n).map(total).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| totals[b].total_cmp(&totals[a]).then(a.cmp(&b)));
    order
}

/// Average linkage: the two groups whose neurons are on average most strongly coupled become one, until one is left; its leaves in order.
fn clustered(couplings: &Couplings, neurons: &[usize]) -> Vec<usize> {
    let n = neurons.len();
    let mut groups: Vec<Vec<usize>> = neurons.iter().map(|&i| vec![i]).collect();
    let mut alive: Vec<usize> = (0..n).collect();
    let mut near: Vec<Vec<f64>> =
        neurons.iter().map(|&i| neurons.iter().map(|&j| strength(couplings, i, j)).collect()).collect();
    // The nearest of each group, looked up anew when it is gone.
    let nearest = |near: &[Vec<f64>], alive: &[usize], a: usize| {
        let others = alive.iter().copied().filter(|&b| b != a);
        others.max_by(|&b, &c| near[a][b].total_cmp(&near[a][c]).then(c.cmp(&b)))
    };
    let mut best: Vec<Option<usize>> = (0..n).map(|a| nearest(&near, &alive, a)).collect();
    while alive.len() > 1 {
        let closest = alive.iter().copied().filter_map(|a| Some((a, best[a]?)));
        let Some((a, b)) =
            closest.max_by(|&(a, b), &(c, d)| near[a][b].total_cmp(&near[c][d]).then(c.cmp(&a)))
        else {
            break;
        };
        let (a, b) = (a.min(b), a.max(b));
        let (first, second) = (groups[a].len() as f64, groups[b].len() as f64);
        for &c in alive.iter().filter(|&&c| c != a && c != b) {
            let together = (first * near[a][c] + second * near[b][c]) / (first + second);
            (near[a][c], near[c][a]) = (together, together);
        }
        let gone = std::mem::take(&mut groups[b]);
        join(couplings, &mut groups[a], gone);
        alive.retain(|&c| c != b);
        for &c in &alive {
            let was = best[c];
            if c == a || was == Some(a) || was == Some(b) || was.is_some_and(|was| near[c][a] > near[c][was])
            {
                best[c] = nearest(&near, &alive, c);
            }
        }
    }
    alive.first().map_or_else(Vec::new, |&last| std::mem::take(&mut groups[last]))
}

/// Append a group at the end, turned such that its neighbour is the stronger coupled of its two ends.
fn join(couplings: &Couplings, group: &mut Vec<usize>, mut other: Vec<usize>) {
    if let (Some(&end), Some(&first), Some(&last)) = (group.last(), other.first(), other.last())
        && strength(couplings, end, last) > strength(couplings, end, first)
    {
        other.reverse();
    }
    group.append(&mut other);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plot::figures::tests::couplings;

    #[test]
    fn coupled_neurons_stand_together_and_silent_ones_last() {
        // 0 and 3, and 1 and 4, are coupled; 2 is silent.
        let mut found = couplings(5, |i, j| match (i.min(j), i.max(j)) {
            (0, 3) => 0.9,
            (1, 4) => -0.8,
            _ => 0.01,
        });
        for k in 0..5 {
            found.errors[2 * 5 + k] = 0.0;
            found.errors[k * 5 + 2] = 0.0;
        }
        found.status[2] = "SILENT".to_owned();
        let order = of_couplings(&found, Sort::Cluster);
        let place = |i: usize| order.iter().position(|&k| k == i).unwrap();
        assert_eq!(
            (place(0).abs_diff(place(3)), place(1).abs_diff(place(4)), place(2)),
            (1, 1, 4),
            "{order:?}"
        );
        assert_eq!(of_couplings(&found, Sort::Index), [0, 1, 2, 3, 4]);
        assert_eq!(of_couplings(&found, Sort::Strength), [0, 3, 1, 4, 2]);
    }

    #[test]
    fn every_order_holds_every_neuron_once() {
        let found = couplings(37, |i, j| ((i * 31 + j * 17) % 11) as f64 * 0.01 - 0.05);
        for sort in [Sort::Index, Sort::Strength, Sort::Cluster] {
            let mut order = of_couplings(&found, sort);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..37));
        }
    }
}
