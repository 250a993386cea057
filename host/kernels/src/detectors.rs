//! Gravitational-wave detectors on the ground: where they are and how they respond.
//!
//! Locations and response tensors are those of `LALDetectors` (`LALSuite` 7), which stores the
//! tensors in single precision. Earth-fixed frame: x to longitude 0°, z to the north pole.

use crate::constants::C_SI;

/// A detector known by its two-character prefix, such as `H1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detector {
    prefix: [u8; 2],
    location_m: [f64; 3],
    response: [f32; 6],
}

impl Detector {
    /// Looks a prefix up; `None` when no detector has it. `V0` is `V1`.
    pub fn by_prefix(prefix: &str) -> Option<Self> {
        let prefix = if prefix == "V0" { "V1" } else { prefix };
        SITES
            .iter()
            .copied()
            .find(|site| prefix.as_bytes() == site.prefix)
    }

    /// The prefixes that [`Self::by_prefix`] knows.
    pub fn prefixes() -> impl Iterator<Item = &'static str> {
        SITES.iter().map(Self::prefix_of_site)
    }

    /// The two-character prefix.
    pub fn prefix(&self) -> &str {
        std::str::from_utf8(&self.prefix).unwrap_or("??")
    }

    /// Location of the vertex in light-seconds.
    pub fn location(&self) -> [f64; 3] {
        self.location_m.map(|metres| metres / C_SI)
    }

    /// Antenna factors `F₊, F×` towards a source at hour angle `h = GMST - ra` and declination
    /// `dec`, radians, for polarization angle 0 (Anderson et al. 2001, PRD 63 042003, eq. B7).
    pub fn antenna_factors(&self, hour_angle: f64, dec: f64) -> (f64, f64) {
        let (sin_h, cos_h) = hour_angle.sin_cos();
        let (sin_dec, cos_dec) = dec.sin_cos();
        let x = [-sin_h, -cos_h, 0.0];
        let y = [-cos_h * sin_dec, sin_h * sin_dec, cos_dec];
        let (dx, dy) = (self.respond(x), self.respond(y));
        (dot(x, dx) - dot(y, dy), dot(x, dy) + dot(y, dx))
    }

    fn respond(&self, v: [f64; 3]) -> [f64; 3] {
        let [xx, xy, xz, yy, yz, zz] = self.response.map(f64::from);
        [
            dot([xx, xy, xz], v),
            dot([xy, yy, yz], v),
            dot([xz, yz, zz], v),
        ]
    }

    fn prefix_of_site(site: &'static Self) -> &'static str {
        site.prefix()
    }
}

/// Scalar product.
pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Metres; then xx, xy, xz, yy, yz, zz of the response tensor.
const fn site(prefix: [u8; 2], location_m: [f64; 3], response: [f32; 6]) -> Detector {
    Detector {
        prefix,
        location_m,
        response,
    }
}

/// The last five of the first block are resonant bars; E1, E2, E3 is one early design of the
/// Einstein Telescope.
const SITES: [Detector; 17] = [
    site(
        *b"H1",
        [-2_161_414.926_36, -3_834_695.178_89, 4_600_350.226_64],
        [
            -0.392_614_1,
            -0.077_613_41,
            -0.247_389_05,
            0.319_524_08,
            0.227_997_84,
            0.073_090_03,
        ],
    ),
    site(
        *b"L1",
        [-74_276.044_723_8, -5_496_283.719_71, 3_224_257.017_44],
        [
            0.411_280_87,
            0.140_210_27,
            0.247_294_59,
            -0.109_005_69,
            -0.181_615_64,
            -0.302_275_15,
        ],
    ),
    site(
        *b"V1",
        [4_546_374.099, 842_989.697_626, 4_378_576.962_41],
        [
            0.243_874_04,
            -0.099_083_78,
            -0.232_576_22,
            -0.447_825_85,
            0.187_833_1,
            0.203_951_8,
        ],
    ),
    site(
        *b"K1",
        [-3_777_336.024, 3_484_898.411, 3_765_313.697],
        [
            -0.185_989_65,
            0.153_166_8,
            -0.324_951_47,
            0.349_518_3,
            -0.170_874_4,
            -0.163_528_64,
        ],
    ),
    site(
        *b"I1",
        [1_348_971.154_79, 5_857_428.265_77, 2_127_569.252_09],
        [
            -0.329_452_72,
            -0.054_599_367,
            0.356_800_8,
            0.076_452_71,
            -0.174_686_98,
            0.253_000_02,
        ],
    ),
    site(
        *b"G1",
        [3_856_309.949_26, 666_598.956_317, 5_019_641.417_25],
        [
            -0.096_824_98,
            -0.365_782_32,
            0.122_137_29,
            0.222_968_12,
            0.249_717_41,
            -0.126_143_14,
        ],
    ),
    site(
        *b"H2",
        [-2_161_414.926_36, -3_834_695.178_89, 4_600_350.226_64],
        [
            -0.392_614_1,
            -0.077_613_41,
            -0.247_389_05,
            0.319_524_08,
            0.227_997_84,
            0.073_090_03,
        ],
    ),
    site(
        *b"T1",
        [-3_946_408.991_11, 3_366_259.028_02, 3_699_150.692_33],
        [
            0.112_139_69,
            0.330_842_1,
            -0.180_219_28,
            0.217_794_02,
            0.153_725_77,
            -0.329_933_7,
        ],
    ),
    site(
        *b"C1",
        [-2_490_649.583_47, -4_658_699.682_11, 3_562_064.114_03],
        [
            -0.353_795_9,
            0.273_471_27,
            0.109_545_79,
            0.011_521_376,
            0.204_902_75,
            0.342_274_52,
        ],
    ),
    site(
        *b"A1",
        [-113_258.964_14, -5_504_083.373_91, 3_209_895.679_81],
        [
            0.402_810_6,
            -0.254_460_2,
            -0.419_290_16,
            0.160_745_49,
            0.264_870_52,
            0.436_443_9,
        ],
    ),
    site(
        *b"O1",
        [4_392_467.330_07, 929_508.666_967, 4_515_029.130_71],
        [
            0.415_385_57,
            -0.369_723_26,
            -0.325_799_17,
            0.329_080_5,
            0.289_984_88,
            0.255_533_93,
        ],
    ),
    site(
        *b"X1",
        [4_376_453.954_52, 475_435.044_067, 4_599_852.744_5],
        [
            0.394_291_58,
            -0.354_658_07,
            -0.336_219_25,
            0.319_008_44,
            0.302_423_06,
            0.286_699_98,
        ],
    ),
    site(
        *b"B1",
        [-2_359_488.714_53, 4_877_215.712_59, -3_354_160.032_74],
        [
            0.053_059_388,
            -0.109_677_19,
            -0.195_486_59,
            0.226_709_84,
            0.404_083_4,
            0.720_230_76,
        ],
    ),
    site(
        *b"N1",
        [4_644_109.998_68, 1_044_253.424_77, 4_231_047.133_07],
        [
            0.384_889_22,
            -0.355_178_12,
            -0.332_562_8,
            0.327_760_52,
            0.306_890_96,
            0.287_350_24,
        ],
    ),
    site(
        *b"E1",
        [4_546_374.099, 842_989.697_626, 4_378_576.962_41],
        [
            0.166_589_86,
            -0.218_849_47,
            -0.129_963_87,
            -0.248_382_03,
            0.273_214_97,
            0.081_792_18,
        ],
    ),
    site(
        *b"E2",
        [4_539_369.516_85, 845_074.592_488, 4_385_402.579_04],
        [
            -0.199_221_21,
            -0.070_223_8,
            0.218_900_46,
            0.423_356_7,
            -0.008_534_697,
            -0.224_135_52,
        ],
    ),
    site(
        *b"E3",
        [4_542_405.950_75, 835_639.650_438, 4_384_075.199_02],
        [
            0.032_631_35,
            0.289_073_3,
            -0.088_936_58,
            -0.174_974_7,
            -0.264_680_27,
            0.142_343_34,
        ],
    ),
];

#[cfg(test)]
mod tests;
