//! Colours of couplings: blue for what suppresses, orange for what excites, white for nothing; told apart with any common colour blindness.

/// Steps from white to the end of each side. A whole number of them keeps pictures small.
const STEPS: i32 = 100;
/// Colours from 0 to the largest value of each side, evenly spaced.
const NEGATIVE: [[u8; 3]; 5] = [[250, 250, 250], [176, 208, 232], [92, 158, 206], [28, 98, 168], [6, 45, 98]];
const POSITIVE: [[u8; 3]; 5] = [[250, 250, 250], [253, 205, 150], [247, 148, 62], [205, 82, 6], [112, 36, 0]];

/// A scale that is symmetric about 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ColorScale {
    /// The value of the darkest colour; above 0.
    pub(crate) limit: f64,
}

impl ColorScale {
    /// Share of the values that the scale reaches to.
    const REACH: f64 = 0.995;

    /// A scale for these absolute values: to the largest of few, and beyond nearly all of many, rounded up.
    pub(crate) fn for_values(mut absolute: Vec<f64>) -> Self {
        absolute.retain(|value| value.is_finite() && *value > 0.0);
        absolute.sort_by(f64::total_cmp);
        let place = ((absolute.len() as f64 * Self::REACH).ceil() as usize).saturating_sub(1);
        match absolute.get(place) {
            Some(&value) => Self { limit: rounded_up(value) },
            None => Self { limit: 1.0 },
        }
    }

    /// The colour of a value; beyond the limit that of the limit.
    pub(crate) fn color(&self, value: f64) -> [u8; 3] {
        let step = (value / self.limit * f64::from(STEPS)).round().clamp(-f64::from(STEPS), f64::from(STEPS));
        let side = if step < 0.0 { NEGATIVE } else { POSITIVE };
        let along = step.abs() / f64::from(STEPS) * (side.len() - 1) as f64;
        let from = (along.floor() as usize).min(side.len() - 2);
        let share = along - from as f64;
        std::array::from_fn(|k| {
            let (a, b) = (f64::from(side[from][k]), f64::from(side[from + 1][k]));
            (a + share * (b - a)).round() as u8
        })
    }
}

/// The next number of two digits.
fn rounded_up(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    let rounded = (value / unit - 1e-9).ceil() * unit;
    if rounded.is_normal() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_symmetric_white_at_zero_and_ends_at_its_limit() {
        let scale = ColorScale { limit: 0.5 };
        assert_eq!(scale.color(0.0), [250, 250, 250]);
        assert_eq!(scale.color(0.5), [112, 36, 0]);
        assert_eq!(scale.color(-0.5), [6, 45, 98]);
        assert_eq!(scale.color(7.0), scale.color(0.5));
        assert_eq!(scale.color(f64::NEG_INFINITY), scale.color(-0.5));
        // Darker with every step, on both sides.
        let light = |value: f64| scale.color(value).iter().map(|&c| u32::from(c)).sum::<u32>();
        for step in 0..50 {
            let value = f64::from(step) * 0.01;
            assert!(light(value + 0.01) < light(value) && light(-value - 0.01) < light(-value), "{value}");
        }
    }

    #[test]
    fn few_outliers_do_not_bleach_all_others() {
        let mut values: Vec<f64> = (0..1000).map(|k| f64::from(k) * 1e-4).collect();
        values.push(50.0);
        assert!((ColorScale::for_values(values).limit - 0.1).abs() < 1e-12);
        assert!((ColorScale::for_values(vec![0.0, 0.123]).limit - 0.13).abs() < 1e-12);
        assert_eq!(ColorScale::for_values(Vec::new()).limit, 1.0);
        assert_eq!(ColorScale::for_values(vec![f64::NAN, 0.2]).limit, 0.2);
    }
}
