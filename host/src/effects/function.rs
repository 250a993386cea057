//! The table of host functions: the name that a journal knows each by, and its class.

/// What happens to a function's effect on a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passed on and forgotten; not repeated on a replay.
    Local,
    /// Answered; a replay gives the noted answer.
    Answered,
    /// Takes effect with the outcome, in one transaction.
    Committed,
    /// The intent is on disk before anything leaves; then the answer is noted.
    External,
}

impl Function {
    /// Whether a run that waits for it holds nothing meanwhile.
    pub(super) fn parks(name: &str) -> bool {
        [TASKS_CALL, TASKS_ALL, TASKS_SLEEP_UNTIL]
            .iter()
            .any(|function| function.name == name)
    }
}

/// One host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in journals; never changed once released.
    pub name: &'static str,
    /// Its class.
    pub class: Class,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $class:ident;)*) => {
        $($(#[$doc])* pub(super) const $constant: Function =
            Function { name: $name, class: Class::$class };)*
        /// All of them.
        pub const TABLE: &[Function] = &[$($constant),*];
    };
}

functions! {
    LOG_WRITE = "gwasp:log/write@0.1", Local;
    PROGRESS_REPORT = "gwasp:progress/report@0.1", Local;
    CLOCK_NOW = "gwasp:clock/now@0.1", Answered;
    RANDOM_GET_BYTES = "gwasp:random/get-bytes@0.1", Answered;
    KV_GET = "gwasp:kv/get@0.1", Answered;
    KV_SET = "gwasp:kv/set@0.1", Committed;
    KV_DELETE = "gwasp:kv/delete@0.1", Committed;
    KV_ADD = "gwasp:kv/add@0.1", Committed;
    KV_CLAIM = "gwasp:kv/claim@0.1", Answered;
    BLOBS_PUT = "gwasp:blobs/put@0.1", Answered;
    BLOBS_OPEN = "gwasp:blobs/open@0.1", Answered;
    BLOBS_READ = "gwasp:blobs/read@0.1", Local;
    HTTP_GET = "gwasp:http/get@0.1", Answered;
    HTTP_SEND = "gwasp:http/send@0.1", External;
    KERNELS_LOCALIZE = "gwasp:kernels/localize@0.1", Answered;
    GCN_SEND = "gwasp:gcn/send@0.1", External;
    GCN_POST = "gwasp:gcn/post@0.1", Committed;
    TASKS_SPAWN = "gwasp:tasks/spawn@0.1", Committed;
    TASKS_CALL = "gwasp:tasks/call@0.1", Answered;
    TASKS_ALL = "gwasp:tasks/all@0.1", Answered;
    TASKS_SLEEP_UNTIL = "gwasp:tasks/sleep-until@0.1", Answered;
}
