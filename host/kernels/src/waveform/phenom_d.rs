//! Amplitude of `IMRPhenomD` (Khan et al. 2016, PRD 93 044007; Husa et al. 2016, PRD 93 044006).
//!
//! Three regions in `x = M f`: a post-Newtonian inspiral with fitted higher orders (eqs. 28, 30),
//! an intermediate quartic fixed by values and slopes (eq. 21), and a Lorentzian ringdown
//! (eq. 19). The fits (table V) are polynomials in `η` and the reduced spin.

use super::Template;
use super::kerr::fundamental_mode;
use crate::constants::{C_SI, MPC_SI};
use std::f64::consts::PI;

/// Where the inspiral ends.
const X_INSPIRAL: f64 = 0.014;
/// Where the model ends.
const X_CUT: f64 = 0.2;

/// The amplitude of one template.
#[derive(Clone, Debug)]
pub(super) struct Amplitude {
    mass_s: f64,
    factor: f64,
    /// Coefficients of y² to y⁶, with `y = (πx)^⅓`.
    inspiral: [f64; 5],
    rho: [f64; 3],
    ringdown: Ringdown,
    /// Coefficients in `x - 0.014`.
    intermediate: [f64; 5],
    x_ringdown: f64,
}

#[derive(Clone, Copy, Debug)]
struct Ringdown {
    gamma: [f64; 3],
    f_ring: f64,
    f_damp: f64,
}

/// Coefficients of `1, η, ξ(1, η, η²), ξ²(1, η, η²), ξ³(1, η, η²)`.
type Fit = [f64; 11];

/// Masses and spins with the heavier body first.
struct Binary {
    eta: f64,
    delta: f64,
    chi: [f64; 2],
}

impl Binary {
    fn new(template: &Template) -> Self {
        let eta = template.eta();
        let [a, b] = template.spin;
        let chi = if template.mass[0] >= template.mass[1] {
            [a, b]
        } else {
            [b, a]
        };
        Self {
            eta,
            delta: (1.0 - 4.0 * eta).max(0.0).sqrt(),
            chi,
        }
    }

    /// The reduced spin of the inspiral, less 1.
    fn xi(&self) -> f64 {
        let [a, b] = self.chi;
        0.5 * ((a + b) * (1.0 - 76.0 * self.eta / 113.0) + self.delta * (a - b)) - 1.0
    }

    fn fit(&self, c: &Fit) -> f64 {
        let (eta, xi) = (self.eta, self.xi());
        let order = |k: usize| c[k] + eta * (c[k + 1] + eta * c[k + 2]);
        c[0] + c[1] * eta + xi * (order(2) + xi * (order(5) + xi * order(8)))
    }

    /// Frequency and damping of the remnant's ringdown in units of `1/M`.
    fn remnant(&self) -> (f64, f64) {
        let (eta, delta) = (self.eta, self.delta);
        let [a, b] = self.chi;
        let s = 0.25 * ((1.0 + delta).powi(2) * a + (1.0 - delta).powi(2) * b);
        let orbital = 2.0 * 3.0_f64.sqrt() - 4.399_247_300_629_289 * eta
            + 9.397_292_189_321_194 * eta.powi(2)
            - 13.180_949_901_606_242 * eta.powi(3);
        let spin = s * (1.0 / eta - 0.085_091_782_141_876_7 - 5.837_029_316_602_263 * eta)
            + s.powi(2) * (0.101_466_524_297_187_8 - 2.096_774_699_683_215_7 * eta)
            + s.powi(3) * (-1.354_680_661_782_435_6 + 4.108_962_025_369_336 * eta)
            + s.powi(4) * (-0.867_696_935_255_553_9 + 2.064_046_835_273_906 * eta);
        let final_spin = eta * (orbital + spin);
        let reduced = s / (0.5 * (1.0 + delta * delta));
        let radiated = (0.055_974_469_826_360_077 * eta + 0.580_951_076_311_513_2 * eta.powi(2)
            - 0.960_672_667_937_231_2 * eta.powi(3)
            + 3.352_411_249_771_192 * eta.powi(4))
            * (1.0
                + (-0.003_030_233_587_884_550_7 - 2.006_611_085_135_107_3 * eta
                    + 7.705_056_780_239_921_5 * eta.powi(2))
                    * reduced)
            / (1.0
                + (-0.671_440_305_472_058_9 - 1.475_692_943_770_290_8 * eta
                    + 7.304_676_214_885_011 * eta.powi(2))
                    * reduced);
        let (f_ring, f_damp) = fundamental_mode(final_spin);
        (f_ring / (1.0 - radiated), f_damp / (1.0 - radiated))
    }

    /// Coefficients of `y²` to `y⁶` of the post-Newtonian amplitude.
    fn inspiral(&self) -> [f64; 5] {
        let (eta, delta) = (self.eta, self.delta);
        let [a, b] = self.chi;
        let (plus, minus) = (1.0 + delta, 1.0 - delta);
        let (a2, b2, ab) = (a * a, b * b, a * b);
        let (eta2, eta3) = (eta * eta, eta * eta * eta);
        let squares = a2 * plus + b2 * minus;
        let second = (1_804.0 * eta - 969.0) / 672.0;
        let third = (a * (81.0 * plus - 44.0 * eta) + b * (81.0 * minus - 44.0 * eta)) / 48.0;
        let fourth = (-27_312_085.0 - 10_287_648.0 * squares
            + 24.0 * eta * (-1_975_055.0 + 857_304.0 * a2 - 994_896.0 * ab + 857_304.0 * b2)
            + 35_371_056.0 * eta2)
            / 8_128_512.0;
        let fifth = (a
            * (285_197.0 * plus - 4.0 * (91_902.0 + 1_579.0 * delta) * eta - 35_632.0 * eta2)
            + b * (285_197.0 * minus + 4.0 * (-91_902.0 + 1_579.0 * delta) * eta
                - 35_632.0 * eta2)
            + 42_840.0 * (4.0 * eta - 1.0) * PI)
            / 32_256.0;
        let of_eta2 =
            -3_248_849_057.0 + 2_943_675_504.0 * a2 - 3_339_284_256.0 * ab + 2_943_675_504.0 * b2;
        let of_one = -177_520_268_561.0
            + 107_414_046_432.0 * squares
            + 11_087_290_368.0 * PI * (a * plus + b * minus);
        let of_eta = -545_384_828_789.0 - 176_491_177_632.0 * ab
            + 202_603_761_360.0 * b2
            + 77_616.0 * a2 * (2_610_335.0 + 995_766.0 * delta)
            - 77_287_373_856.0 * b2 * delta
            + 5_841_690_624.0 * PI * (a + b)
            + 21_384_760_320.0 * PI * PI;
        let sixth = -(-336.0 * eta2 * of_eta2 - 324_322_727_232.0 * eta3 - 7.0 * of_one
            + 12.0 * eta * of_eta)
            / 60_085_960_704.0;
        [second, third, fourth, fifth, sixth]
    }
}

impl Ringdown {
    fn width(&self) -> f64 {
        self.gamma[2] * self.f_damp
    }

    fn at(&self, x: f64) -> f64 {
        let (w, q) = (self.width(), x - self.f_ring);
        self.gamma[0] * w / (q * q + w * w) * (-self.gamma[1] * q / w).exp()
    }

    fn slope(&self, x: f64) -> f64 {
        let (w, q) = (self.width(), x - self.f_ring);
        self.at(x) * (-2.0 * q / (q * q + w * w) - self.gamma[1] / w)
    }

    /// Where the amplitude peaks.
    fn peak(&self) -> f64 {
        let (w, g) = (self.width(), self.gamma[1]);
        let shift = if g > 1.0 {
            -w / g
        } else {
            w * ((1.0 - g * g).sqrt() - 1.0) / g
        };
        (self.f_ring + shift).abs()
    }
}

impl Amplitude {
    pub(super) fn new(template: &Template) -> Self {
        let binary = Binary::new(template);
        let (f_ring, f_damp) = binary.remnant();
        let gamma = [&GAMMA_1, &GAMMA_2, &GAMMA_3].map(|fit| binary.fit(fit));
        let ringdown = Ringdown {
            gamma,
            f_ring,
            f_damp,
        };
        let mass_s = template.mass_s();
        let leading = (2.0 * binary.eta / 3.0).sqrt() * PI.powf(-1.0 / 6.0);
        let distance_s = MPC_SI / C_SI;
        let mut amplitude = Self {
            mass_s,
            factor: 2.0 * (5.0 / (64.0 * PI)).sqrt() * mass_s * mass_s / distance_s * leading,
            inspiral: binary.inspiral(),
            rho: [&RHO_1, &RHO_2, &RHO_3].map(|fit| binary.fit(fit)),
            ringdown,
            intermediate: [0.0; 5],
            x_ringdown: ringdown.peak(),
        };
        amplitude.intermediate = amplitude.join(binary.fit(&MIDDLE));
        amplitude
    }

    /// The frequency where the model ends, Hz.
    pub(super) fn f_cut(&self) -> f64 {
        X_CUT / self.mass_s
    }

    /// `|h|` at `f` Hz, in 1/Hz.
    pub(super) fn at(&self, f: f64) -> f64 {
        let x = self.mass_s * f;
        let shape = if x < X_INSPIRAL {
            self.inspiral_at(x)
        } else if x < self.x_ringdown {
            let t = x - X_INSPIRAL;
            let [c0, c1, c2, c3, c4] = self.intermediate;
            c0 + t * (c1 + t * (c2 + t * (c3 + t * c4)))
        } else {
            self.ringdown.at(x)
        };
        self.factor * x.powf(-7.0 / 6.0) * shape
    }

    fn inspiral_at(&self, x: f64) -> f64 {
        let y = (PI * x).cbrt();
        let [a2, a3, a4, a5, a6] = self.inspiral;
        let series = 1.0 + y * y * (a2 + y * (a3 + y * (a4 + y * (a5 + y * a6))));
        let root = x.cbrt();
        let [r1, r2, r3] = self.rho;
        series + x * x * root * (r1 + root * (r2 + root * r3))
    }

    fn inspiral_slope(&self, x: f64) -> f64 {
        let y = (PI * x).cbrt();
        let [a2, a3, a4, a5, a6] = self.inspiral;
        let by_y = y * (2.0 * a2 + y * (3.0 * a3 + y * (4.0 * a4 + y * (5.0 * a5 + y * 6.0 * a6))));
        let root = x.cbrt();
        let [r1, r2, r3] = self.rho;
        let by_x = x * root * (7.0 / 3.0 * r1 + root * (8.0 / 3.0 * r2 + root * 3.0 * r3));
        by_y * y / (3.0 * x) + by_x
    }

    /// The quartic in `t = x - x₁` with value and slope of its neighbours at both ends, and the
    /// value `middle` half way.
    fn join(&self, middle: f64) -> [f64; 5] {
        let width = self.x_ringdown - X_INSPIRAL;
        let (v1, d1) = (
            self.inspiral_at(X_INSPIRAL),
            self.inspiral_slope(X_INSPIRAL) * width,
        );
        let x3 = self.x_ringdown;
        let (v3, d3) = (self.ringdown.at(x3), self.ringdown.slope(x3) * width);
        // In units of the width: c0 = v1, c1 = d1, and three equations for the rest.
        let end = v3 - v1 - d1;
        let slope = d3 - d1;
        let half = 16.0 * (middle - v1 - 0.5 * d1);
        // c2 + c3 + c4 = end; 2c2 + 3c3 + 4c4 = slope; 4c2 + 2c3 + c4 = half.
        let c2 = half - 5.0 * end + slope;
        let c4 = slope - 3.0 * end + c2;
        let c3 = end - c2 - c4;
        let w2 = width * width;
        [v1, d1 / width, c2 / w2, c3 / (w2 * width), c4 / (w2 * w2)]
    }
}

const RHO_1: Fit = [
    3_931.897_989_719_669_6,
    -17_395.758_706_812_805,
    3_132.375_545_898_835,
    343_965.860_923_613_77,
    -1.216_256_581_998_199_7e6,
    -70_698.006_004_288_53,
    1.383_907_177_859_705e6,
    -3.966_276_189_097_944_6e6,
    -60_017.524_236_525_96,
    803_515.118_182_573_5,
    -2.091_710_365_941_658e6,
];
const RHO_2: Fit = [
    -40_105.476_537_716_57,
    112_253.016_970_670_1,
    23_561.696_065_836_168,
    -3.476_180_699_403_351e6,
    1.137_593_670_849_482e7,
    754_313.112_716_645_4,
    -1.308_476_044_625_268e7,
    3.644_458_485_392_813_4e7,
    596_226.612_472_288,
    -7.427_790_114_356_440_5e6,
    1.892_897_751_404_034_3e7,
];
const RHO_3: Fit = [
    83_208.354_712_665_37,
    -191_237.726_414_592_4,
    -210_916.245_478_299_2,
    8.717_975_083_525_68e6,
    -2.691_494_242_066_955_2e7,
    -1.988_980_652_736_272_2e6,
    3.088_802_996_015_456_3e7,
    -8.390_870_279_256_162e7,
    -1.453_503_195_344_649_7e6,
    1.706_352_899_082_216_6e7,
    -4.274_865_973_112_091_4e7,
];
const GAMMA_1: Fit = [
    0.006_927_402_739_328_343,
    0.030_204_742_903_289_11,
    0.006_308_024_337_706_171,
    -0.120_741_306_611_311_38,
    0.262_715_989_057_813_24,
    0.003_415_177_364_719_879_4,
    -0.107_793_386_111_883_74,
    0.270_989_669_668_917_47,
    0.000_737_418_593_855_928_3,
    -0.027_496_210_383_762_81,
    0.073_315_078_913_570_2,
];
const GAMMA_2: Fit = [
    1.010_344_404_799_477,
    0.000_899_312_200_723_454_8,
    0.283_949_116_804_459,
    -4.049_752_962_958_005,
    13.207_828_172_665_366,
    0.103_962_784_868_054_26,
    -7.025_059_158_961_947,
    24.784_892_370_130_475,
    0.030_932_024_756_058_92,
    -2.692_402_389_685_166_3,
    9.609_374_464_684_983,
];
const GAMMA_3: Fit = [
    1.308_161_560_703_610_6,
    -0.005_537_729_694_807_678,
    -0.067_829_179_386_210_07,
    -0.668_983_497_076_711_7,
    3.403_147_966_134_083,
    -0.052_965_773_744_118_66,
    -0.992_379_320_311_136_2,
    4.820_681_208_409_587,
    -0.006_134_139_870_393_713,
    -0.384_292_533_086_963_65,
    1.756_175_442_198_598_4,
];
const MIDDLE: Fit = [
    0.814_983_873_050_778_5,
    2.574_755_351_745_465_8,
    1.161_019_803_549_678_6,
    -2.362_777_178_555_153_7,
    6.771_038_707_057_573,
    0.757_078_293_860_683_4,
    -2.725_689_689_043_247_4,
    7.114_038_039_714_996_5,
    0.176_693_414_929_347_9,
    -0.797_869_098_316_818_3,
    2.116_239_150_200_515_3,
];
