//! The logistic function of many numbers at once.
//!
//! One body of plain loops over [`LANES`] rows side by side, compiled for AVX-512, AVX2 and the baseline and chosen at run time; the
//! compiler vectorizes it. With `x = 2θ` the log-odds of a spike, everything the likelihood needs comes from one exponential
//! `e = exp(−|x|)`, which never overflows: `p = 1/(1+e)` or `e/(1+e)`, `log(1 + exp x) = max(x, 0) + log(1 + e)`,
//! `1 − tanh² θ = 4 p (1 − p)`.

/// Rows worked on side by side.
pub(crate) const LANES: usize = 32;

/// One number for each of [`LANES`] rows.
pub(crate) type Lanes = [f64; LANES];

/// Compile a body for several instruction sets and choose among them at run time.
///
/// The body is a function generic over `const FMA: bool`, whether the processor multiplies and adds in one instruction.
macro_rules! per_instruction_set {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) = $body:ident) => {
        $(#[$doc])*
        pub(crate) fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
                fn avx512($($argument: $kind),*) {
                    $body::<true>($($argument),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $kind),*) {
                    $body::<true>($($argument),*);
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("fma")
                {
                    // SAFETY: the processor has the instructions the function is compiled for; it has no other requirement.
                    return unsafe { avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: as above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            $body::<false>($($argument),*);
        }
    };
}
pub(crate) use per_instruction_set;

const SHIFT: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²: adding it rounds to an integer, kept in the low bits
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8; // ln 2 to 33 bits: its products with small integers are exact
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Largest `|x|` told apart: exp(−700) is still a normal number.
const EXPONENT_MAX: f64 = 700.0;
/// 1/k! for k = 13 down to 0: the Taylor series at |r| ≤ ln 2 / 2 leaves less than 5e-18.
const TAYLOR: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `exp(−|x|)`; |x| above 700 counts as 700.
#[inline(always)]
pub(crate) fn exp_of_minus_abs<const FMA: bool>(x: f64) -> f64 {
    let magnitude = x.abs();
    let y = -(if magnitude < EXPONENT_MAX { magnitude } else { EXPONENT_MAX });
    let shifted = multiply_add::<FMA>(y, std::f64::consts::LOG2_E, SHIFT);
    let k = shifted - SHIFT;
    let r = multiply_add::<FMA>(k, -LN_2_LOW, multiply_add::<FMA>(k, -LN_2_HIGH, y));
    let mut series = TAYLOR[0];
    for &coefficient in &TAYLOR[1..] {
        series = multiply_add::<FMA>(series, r, coefficient);
    }
    // The low bits of the shifted number are k: adding them to the exponent multiplies by 2^k.
    f64::from_bits(series.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// `2/(2k + 1)` for k = 11 down to 0: at |s| ≤ 3 − 2√2 the series leaves less than 1e-18.
const ATANH: [f64; 12] = [
    2.0 / 23.0,
    2.0 / 21.0,
    2.0 / 19.0,
    2.0 / 17.0,
    2.0 / 15.0,
    2.0 / 13.0,
    2.0 / 11.0,
    2.0 / 9.0,
    2.0 / 7.0,
    2.0 / 5.0,
    2.0 / 3.0,
    2.0,
];

/// Logarithm of 1 ≤ y ≤ 2, as `2 artanh((y − 1)/(y + 1))`, halved before where y is above √2.
#[inline(always)]
fn ln_of_1_to_2<const FMA: bool>(y: f64) -> f64 {
    let is_upper = y > std::f64::consts::SQRT_2;
    // Of 1 and of 2 the differences are exact.
    let (above, below) = if is_upper { (y - 2.0, y + 2.0) } else { (y - 1.0, y + 1.0) };
    let s = above / below;
    let square = s * s;
    let mut series = ATANH[0];
    for &coefficient in &ATANH[1..] {
        series = multiply_add::<FMA>(series, square, coefficient);
    }
    multiply_add::<FMA>(series, s, if is_upper { std::f64::consts::LN_2 } else { 0.0 })
}

/// Replace log-odds `x` by probabilities `p`; gives `1 + exp(−|x|)`, `max(x, 0)` and `p (1 − p)`.
#[inline(always)]
pub(crate) fn logistic<const FMA: bool>(
    log_odds: &mut Lanes,
    one_plus: &mut Lanes,
    positive: &mut Lanes,
    gain: &mut Lanes,
) {
    for r in 0..LANES {
        let x = log_odds[r];
        let e = exp_of_minus_abs::<FMA>(x);
        let sum = 1.0 + e;
        let q = 1.0 / sum;
        let rare = e * q;
        one_plus[r] = sum;
        positive[r] = if x > 0.0 { x } else { 0.0 };
        gain[r] = rare * q;
        log_odds[r] = if x > 0.0 { q } else { rare };
    }
}

/// Take up `log(1 + exp x) = positive + ln product` of as many rows as there are: add to the one, multiply the other. The caller takes
/// the logarithm before [`FACTORS_MAX`] factors have come together.
#[inline(always)]
fn softplus_body<const FMA: bool>(log_odds: &[f64], positive: &mut [f64], product: &mut [f64]) {
    for ((&x, positive), product) in log_odds.iter().zip(positive).zip(product) {
        *product *= 1.0 + exp_of_minus_abs::<FMA>(x);
        *positive += if x > 0.0 { x } else { 0.0 };
    }
}

per_instruction_set!(
    /// Take up the softplus of log-odds, see [`softplus_body`].
    fn add_softplus(log_odds: &[f64], positive: &mut [f64], product: &mut [f64]) = softplus_body
);

/// Running `Σ w log(1 + exp x)` and `Σ w p (1 − p)` of each row.
///
/// Factors `1 + e ≤ 2` are multiplied up and their logarithm is taken once for many.
pub(crate) struct Sums {
    product: Lanes,
    factors: usize,
    softplus: Lanes,
    gain: Lanes,
}

/// Factors of at most 2 whose product stays far below the largest number.
pub(crate) const FACTORS_MAX: usize = 512;

impl Sums {
    pub(crate) fn new() -> Self {
        Self { product: [1.0; LANES], factors: 0, softplus: [0.0; LANES], gain: [0.0; LANES] }
    }

    /// Take up log-odds that occur `weight` times; they become `weight · p`, or `weight · p (1 − p)` if `gains` is asked for.
    #[inline(always)]
    pub(crate) fn take<const FMA: bool>(&mut self, log_odds: &mut Lanes, weight: f64, gains: bool) {
        let (mut one_plus, mut positive, mut gain) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        logistic::<FMA>(log_odds, &mut one_plus, &mut positive, &mut gain);
        if weight == 1.0 {
            for r in 0..LANES {
                self.softplus[r] += positive[r];
                self.product[r] *= one_plus[r];
                self.gain[r] += gain[r];
            }
            self.factors += 1;
            if self.factors == FACTORS_MAX {
                self.flush();
            }
        } else {
            for r in 0..LANES {
                self.softplus[r] += weight * (positive[r] + ln_of_1_to_2::<FMA>(one_plus[r]));
                gain[r] *= weight;
                self.gain[r] += gain[r];
                log_odds[r] *= weight;
            }
        }
        if gains {
            *log_odds = gain;
        }
    }

    fn flush(&mut self) {
        for (softplus, product) in self.softplus.iter_mut().zip(&mut self.product) {
            *softplus += product.ln();
            *product = 1.0;
        }
        self.factors = 0;
    }

    /// `(Σ w log(1 + exp x), Σ w p (1 − p))` of each row.
    pub(crate) fn finish(mut self) -> (Lanes, Lanes) {
        self.flush();
        (self.softplus, self.gain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portable(x: &mut Lanes, one_plus: &mut Lanes, positive: &mut Lanes, gain: &mut Lanes) {
        logistic::<false>(x, one_plus, positive, gain);
    }
    per_instruction_set!(
        fn chosen(x: &mut Lanes, one_plus: &mut Lanes, positive: &mut Lanes, gain: &mut Lanes) = logistic
    );

    fn inputs() -> impl Iterator<Item = f64> {
        let grid = (-4000..=4000).map(|k| f64::from(k) * 0.0173);
        let wide = (0..400).flat_map(|k| {
            let x = 1e-18 * 1.12f64.powi(k);
            [x, -x]
        });
        grid.chain(wide).filter(|x| x.abs() < 690.0).chain([0.0, -0.0, 690.0, -690.0])
    }

    #[test]
    fn the_logarithm_agrees_with_the_standard_library() {
        let near_one = (0..52).map(|k| 1.0 + f64::EPSILON * 2.0_f64.powi(k));
        for y in (0..=100_000).map(|k| 1.0 + f64::from(k) * 1e-5).chain(near_one).chain([2.0]) {
            for found in [ln_of_1_to_2::<false>(y), ln_of_1_to_2::<true>(y)] {
                // The quotient, the series and their product each round once.
                assert!((found - y.ln()).abs() <= 5e-16 * y.ln(), "ln {y} = {found}");
            }
        }
        assert_eq!(ln_of_1_to_2::<false>(1.0), 0.0);
    }

    #[test]
    fn agrees_with_the_standard_library_on_every_instruction_set() {
        for function in [chosen, portable] {
            for x in inputs() {
                let (mut p, mut one_plus, mut positive, mut gain) =
                    ([x; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
                function(&mut p, &mut one_plus, &mut positive, &mut gain);
                let e = (-x.abs()).exp();
                let expected = if x > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
                let softplus = x.max(0.0) + e.ln_1p();
                for r in [0, LANES - 1] {
                    assert!((p[r] - expected).abs() <= 1e-15 * expected, "p({x}) = {}", p[r]);
                    assert!(
                        (positive[r] + one_plus[r].ln() - softplus).abs() <= 4e-16 * (1.0 + softplus),
                        "{x}"
                    );
                    let slope = e / ((1.0 + e) * (1.0 + e));
                    assert!((gain[r] - slope).abs() <= 2e-15 * slope, "gain({x})");
                }
            }
        }
    }

    #[test]
    fn softplus_is_summed_on_every_instruction_set() {
        let all: Vec<f64> = inputs().collect();
        for function in [add_softplus, softplus_body::<false>] {
            let (mut positive, mut product) = (vec![0.0; all.len()], vec![1.0; all.len()]);
            function(&all, &mut positive, &mut product);
            function(&all, &mut positive, &mut product);
            for ((x, positive), product) in all.iter().zip(positive).zip(product) {
                let expected = 2.0 * (x.max(0.0) + (-x.abs()).exp().ln_1p());
                assert!((positive + product.ln() - expected).abs() <= 1e-15 * (1.0 + expected), "{x}");
            }
        }
    }

    #[test]
    fn huge_log_odds_stay_finite() {
        for x in [1e3, 1e300, f64::MAX] {
            for x in [x, -x] {
                let mut sums = Sums::new();
                let mut p = [x; LANES];
                sums.take::<false>(&mut p, 1.0, false);
                let (softplus, gain) = sums.finish();
                assert!((0.0..=1.0).contains(&p[0]) && softplus[0] == x.max(0.0) && gain[0] < 1e-300);
            }
        }
    }

    #[test]
    fn sums_count_each_weight() {
        let (mut weighted, mut repeated) = (Sums::new(), Sums::new());
        let mut p = [-0.3; LANES];
        weighted.take::<false>(&mut p, 1500.0, false);
        for _ in 0..1500 {
            repeated.take::<false>(&mut [-0.3; LANES], 1.0, true);
        }
        let ((a, b), (c, d)) = (weighted.finish(), repeated.finish());
        assert!((a[0] - c[0]).abs() < 1e-12 * a[0] && (b[0] - d[0]).abs() < 1e-12 * b[0]);
        assert!((a[0] - 1500.0 * (-0.3f64).exp().ln_1p()).abs() < 1e-12 * a[0]);
        assert!((p[0] - 1500.0 / (1.0 + 0.3f64.exp())).abs() < 1e-12 * p[0]);
    }
}
