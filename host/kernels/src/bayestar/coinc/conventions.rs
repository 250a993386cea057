//! Signs of phases, by pipeline.

use super::CandidateError;

/// Which sign a pipeline gives to the phase, by the name of its program.
///
/// Half of the pipelines report the conjugate of what the others do; a program that is not known
/// is an error, since a wrong guess moves the source to another place on the sky.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseConventions(Vec<(String, bool)>);

impl Default for PhaseConventions {
    /// The pipelines that upload to `GraceDB`.
    fn default() -> Self {
        let inverted = [
            "gstlal_inspiral",
            "gstlal_inspiral_coinc_extractor",
            "gstlal_inspiral_postcohspiir_online",
            "bayestar_realize_coincs",
            "bayestar-realize-coincs",
            "MBTAOnline",
            "sgnl-inspiral",
        ];
        let known = inverted.map(|program| (program.to_owned(), true));
        let mut conventions = Self(known.to_vec());
        conventions.set("pycbc", false);
        conventions
    }
}

impl PhaseConventions {
    /// Adds a program, or changes it: whether its phases and SNR series are to be conjugated.
    pub fn set(&mut self, program: &str, inverted: bool) {
        self.0.retain(|(known, _)| known != program);
        self.0.push((program.to_owned(), inverted));
    }

    pub(super) fn is_inverted(&self, program: &str) -> Result<bool, CandidateError> {
        let known = self.0.iter().find(|(known, _)| known == program);
        let unknown = || CandidateError::Program(program.chars().take(60).collect());
        known.map(|&(_, inverted)| inverted).ok_or_else(unknown)
    }
}
