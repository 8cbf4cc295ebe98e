//! How well each estimator has predicted bins that it was not fitted to.

use super::{Words, median, title_name};
use crate::cli::plot::material::{EstimatorScore, Material, ScoreSums};
use crate::cli::text;

/// Spikes a neuron needs to be shown by itself.
const SPIKES_MIN: f64 = 20.0;

/// An estimator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) estimator: String,
    pub(crate) ridge: f64,
    /// Bits per spike gained over rates of late, and the standard error from neuron to neuron.
    pub(crate) recent: Option<(f64, Option<f64>)>,
    /// The same of all that was scored.
    pub(crate) total: Option<f64>,
    /// Of single neurons that have fired often enough.
    pub(crate) neurons: Vec<f64>,
}

/// Recent bits per spike against the ridge.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) estimator: String,
    /// Ridge and bits, the ridge increasing.
    pub(crate) points: Vec<(f64, f64)>,
    /// The ridge that was chosen.
    pub(crate) chosen: f64,
}

/// The figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoreFigure {
    pub(crate) words: Words,
    pub(crate) bars: Vec<Bar>,
    pub(crate) paths: Vec<Path>,
}

impl ScoreFigure {
    pub(crate) fn of(material: &Material) -> Self {
        let bars: Vec<Bar> = material.scores.iter().map(bar).collect();
        let path = |score: &EstimatorScore| {
            let points: Vec<(f64, f64)> =
                score.path.iter().filter_map(|&(ridge, bits)| Some((ridge, bits?))).collect();
            (points.len() > 1).then(|| Path {
                estimator: score.estimator.clone(),
                points,
                chosen: score.ridge,
            })
        };
        let paths = material.scores.iter().filter_map(path).collect();
        Self { words: words(material), bars, paths }
    }
}

fn bar(score: &EstimatorScore) -> Bar {
    let sums = &score.recent;
    let neurons = sums.spikes.iter().zip(&sums.gain_bits).filter(|(spikes, _)| **spikes >= SPIKES_MIN);
    Bar {
        estimator: score.estimator.clone(),
        ridge: score.ridge,
        recent: bits_per_spike(sums),
        total: bits_per_spike(&score.total).map(|(bits, _)| bits),
        neurons: neurons.map(|(spikes, gain)| gain / spikes).collect(),
    }
}

/// Bits per spike of all neurons together, and its standard error if another sample of neurons had been recorded: a jackknife over neurons,
/// which takes them as independent. `None` where too few spikes were scored; no error of fewer than three neurons.
pub(crate) fn bits_per_spike(sums: &ScoreSums) -> Option<(f64, Option<f64>)> {
    let (spikes, gain) = (sums.spikes.iter().sum::<f64>(), sums.gain_bits.iter().sum::<f64>());
    if spikes < 1.0 || !gain.is_finite() {
        return None;
    }
    let neurons = sums.spikes.iter().zip(&sums.gain_bits).filter(|(spikes, _)| **spikes > 0.0);
    let without: Vec<f64> =
        neurons.map(|(s, g)| (gain - g) / (spikes - s)).filter(|bits| bits.is_finite()).collect();
    let n = without.len() as f64;
    if without.len() < 3 {
        return Some((gain / spikes, None));
    }
    let mean = without.iter().sum::<f64>() / n;
    let squares = without.iter().map(|bits| (bits - mean).powi(2)).sum::<f64>();
    Some((gain / spikes, Some(((n - 1.0) / n * squares).sqrt())))
}

fn words(material: &Material) -> Words {
    let most = material.scores.iter().map(|score| score.total.transitions).fold(0.0, f64::max);
    let spikes =
        material.scores.iter().map(|score| score.total.spikes.iter().sum::<f64>()).fold(0.0, f64::max);
    let shown = material.scores.iter().map(|score| bar(score).neurons.len()).max().unwrap_or(0);
    let hidden = median(material.scores.iter().map(|score| score.recent.spikes.len() as f64).collect())
        .map_or(0, |n| (n as usize).saturating_sub(shown));
    let mut caption = vec![
        "Bits per spike gained over independent rates on bins that came after each fit, of late (the past is discounted); 0 is as good as the rates, below \
         it do not trust the couplings."
            .to_owned(),
        "Error bars: ± 1 standard error from neuron to neuron (jackknife). Diamond: all that was scored."
            .to_owned(),
    ];
    if shown > 0 {
        caption.push(format!(
            "Dots: single neurons with at least {SPIKES_MIN} scored spikes{}.",
            if hidden > 0 { format!("; {hidden} have fewer") } else { String::new() }
        ));
    }
    if material.scores.iter().any(|score| score.path.len() > 1) {
        caption
            .push("Rings: the ridge in use. Errors of single points of the paths are not known.".to_owned());
    }
    caption.extend(material.mixed.clone());
    Words {
        title: format!("{}: how well estimators predict", title_name(&material.name)),
        facts: vec![
            format!(
                "{}; bins of {}; up to {} transitions with {} spikes scored",
                text::counted(material.neurons.len() as u64, "neuron"),
                material.bin_width,
                text::count(most.round() as u64),
                text::count(spikes.round() as u64)
            ),
            material.origin.clone(),
        ],
        caption,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_that_of_a_jackknife_over_neurons() {
        // Equally many spikes: the ratio is a mean, and the jackknife gives its standard error.
        let gains = [1.0, 2.0, 4.0, 5.0];
        let sums = ScoreSums {
            transitions: 10.0,
            spikes: vec![2.0; 4],
            gain_bits: gains.map(|bits| 2.0 * bits).to_vec(),
        };
        let mean = gains.iter().sum::<f64>() / 4.0;
        let variance = gains.iter().map(|bits| (bits - mean).powi(2)).sum::<f64>() / 3.0;
        let (bits, error) = bits_per_spike(&sums).unwrap();
        assert!((bits - mean).abs() < 1e-12 && (error.unwrap() - (variance / 4.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn too_little_has_no_score_or_no_error() {
        let sums = |spikes: &[f64]| ScoreSums {
            transitions: 5.0,
            spikes: spikes.to_vec(),
            gain_bits: vec![1.0; spikes.len()],
        };
        assert_eq!(bits_per_spike(&sums(&[])), None);
        assert_eq!(bits_per_spike(&sums(&[0.5])), None);
        assert_eq!(bits_per_spike(&sums(&[2.0, 2.0])), Some((0.5, None)));
        let broken = ScoreSums { gain_bits: vec![f64::INFINITY], ..sums(&[3.0]) };
        assert_eq!(bits_per_spike(&broken), None);
    }

    #[test]
    fn scores_of_several_publications_are_said_to_be() {
        let plain = super::super::tests::material(3);
        let sentence = "Of several publications.".to_owned();
        let mixed = Material { mixed: Some(sentence.clone()), ..plain.clone() };
        assert!(!ScoreFigure::of(&plain).words.caption.contains(&sentence));
        assert!(ScoreFigure::of(&mixed).words.caption.contains(&sentence));
    }
}
