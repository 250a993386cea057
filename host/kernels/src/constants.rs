//! Physical constants, with the values that LAL uses.
//!
//! Horizons and delays are compared with results of other programs to many digits, so these are
//! LAL's numbers (`LALConstants.h`, `LALSuite` 7), not the latest recommended ones.

/// Speed of light in vacuum, m/s (exact).
pub const C_SI: f64 = 299_792_458.0;
/// Geometrized solar mass `G M☉ / c³`, s.
pub const MTSUN_SI: f64 = 4.925_490_947_641_267e-6;
/// Geometrized solar mass `G M☉ / c²`, m.
pub const MRSUN_SI: f64 = 1_476.625_038_050_124_7;
/// One megaparsec, m.
pub const MPC_SI: f64 = 3.085_677_581_491_367e22;
/// Euler–Mascheroni constant.
pub const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
