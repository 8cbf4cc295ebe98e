//! How well estimates predict, and which ridge that has chosen, in words.

use glauber::proto::v1;
use serde_json::{Value, json};

/// Bits per spike as a phrase: `predicts +1.23 bits/spike better than rates`.
pub(crate) fn bits_text(bits_per_spike: f64) -> String {
    if bits_per_spike >= 0.0 {
        format!("predicts {bits_per_spike:+.3} bits/spike better than rates")
    } else {
        format!("predicts worse than rates alone: {bits_per_spike:+.3} bits/spike")
    }
}

/// What an estimate's score says.
pub(crate) fn score_text(score: Option<&v1::Score>) -> String {
    let sums = score.and_then(|score| Some((score.recent.as_ref()?, score.total.as_ref()?)));
    let bits = sums.and_then(|(recent, total)| Some((recent.bits_per_spike?, total.bits_per_spike?)));
    match bits {
        Some((recent, total)) => format!("{} ({total:+.3} in all)", bits_text(recent)),
        None => "none yet: it comes from bins newer than the estimate".to_owned(),
    }
}

/// Most characters of a list of ridges, so that its line fits 80 columns.
const LISTED_CHARS_MAX: usize = 32;

/// A ridge and how it was chosen.
pub(crate) fn ridge_text(ridge: f64, path: &[v1::RidgeScore]) -> String {
    if path.len() < 2 {
        return format!("{ridge}, given");
    }
    let all: Vec<String> = path.iter().map(|score| score.ridge.to_string()).collect();
    let listed = all.join(",");
    let all = match &all[..] {
        [least, .., largest] if listed.len() > LISTED_CHARS_MAX => {
            format!("{} from {least} to {largest}", path.len())
        }
        _ => listed,
    };
    if path.iter().any(|score| score.bits_per_spike.is_some()) {
        format!("{ridge}, the best by score of {all}")
    } else {
        format!("{ridge}, until there is a score, of {all}")
    }
}

/// A score as JSON; `null` where nothing is scored.
pub(crate) fn score_json(score: Option<&v1::Score>) -> Value {
    // Those of the neurons are in the order of the fields.
    let sum = |sum: Option<&v1::ScoreSum>| {
        sum.map(|sum| {
            json!({
                "transitions": sum.transitions,
                "spikes": sum.spikes,
                "gain_bits": sum.gain_bits,
                "bits_per_spike": sum.bits_per_spike,
                "neuron_spikes": sum.neuron_spikes,
                "neuron_gain_bits": sum.neuron_gain_bits,
            })
        })
    };
    json!({
        "recent": sum(score.and_then(|score| score.recent.as_ref())),
        "total": sum(score.and_then(|score| score.total.as_ref())),
    })
}

/// The ridges there were to choose from as JSON.
pub(crate) fn ridge_path_json(path: &[v1::RidgeScore]) -> Vec<Value> {
    path.iter().map(|score| json!({ "ridge": score.ridge, "bits_per_spike": score.bits_per_spike })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(recent: Option<f64>) -> v1::Score {
        let sum = |bits_per_spike| Some(v1::ScoreSum { bits_per_spike, ..Default::default() });
        v1::Score { recent: sum(recent), total: sum(recent.map(|bits| bits / 2.0)) }
    }

    #[test]
    fn a_score_below_the_rates_is_said_plainly() {
        let better = "predicts +1.230 bits/spike better than rates (+0.615 in all)";
        assert_eq!(score_text(Some(&score(Some(1.23)))), better);
        let worse = "predicts worse than rates alone: -0.120 bits/spike (-0.060 in all)";
        assert_eq!(score_text(Some(&score(Some(-0.12)))), worse);
        assert!(
            score_text(Some(&score(None))).starts_with("none yet")
                && score_text(None).starts_with("none yet")
        );
    }

    #[test]
    fn a_ridge_says_how_it_was_chosen() {
        let path = |bits: Option<f64>| [0.0, 0.3].map(|ridge| v1::RidgeScore { ridge, bits_per_spike: bits });
        assert_eq!(ridge_text(0.5, &path(None)[..1]), "0.5, given");
        assert_eq!(ridge_text(0.3, &path(Some(0.1))), "0.3, the best by score of 0,0.3");
        assert!(ridge_text(0.3, &path(None)).starts_with("0.3, until there is a score"));
    }
}
