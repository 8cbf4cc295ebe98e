/// Of the neurons 0 to `n` − 1 those that are left, increasing, when the one in the most conflicts is taken out until there are none. Of
/// several it is the one with the least `worth`, then the last.
pub(super) fn compatible(
    n: usize,
    conflict: impl Fn(usize, usize) -> bool,
    worth: impl Fn(usize) -> f64,
) -> Vec<usize> {
    let mut conflicts: Vec<usize> =
        (0..n).map(|i| (0..n).filter(|&j| j != i && conflict(i, j)).count()).collect();
    let mut left: Vec<usize> = (0..n).collect();
    loop {
        let worst = left.iter().copied().enumerate().max_by(|&(_, a), &(_, b)| {
            conflicts[a].cmp(&conflicts[b]).then(worth(b).total_cmp(&worth(a))).then(a.cmp(&b))
        });
        match worst {
            Some((place, worst)) if conflicts[worst] > 0 => {
                left.remove(place);
                left.iter().filter(|&&i| conflict(i, worst)).for_each(|&i| conflicts[i] -= 1);
            }
            _ => return left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_are_taken_out_where_one_is_to_blame() {
        // 3 conflicts with all, 0 and 4 with each other too.
        let conflict = |i: usize, j: usize| i == 3 || j == 3 || (i.min(j), i.max(j)) == (0, 4);
        assert_eq!(compatible(6, conflict, |i| i as f64), [1, 2, 4, 5]);
        assert_eq!(compatible(6, conflict, |i| -(i as f64)), [0, 1, 2, 5]);
        assert_eq!(compatible(6, conflict, |_| 1.0), [0, 1, 2, 5]);
        assert_eq!(compatible(3, |_, _| false, |_| 1.0), [0, 1, 2]);
        assert!(compatible(0, |_, _| true, |_| 1.0).is_empty());
    }
}
