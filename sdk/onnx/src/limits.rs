//! How large, deep and many a model's parts may be, and how many they were.

/// Bounds on a file, checked before anything is allocated for its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. Protobuf itself ends at 2 GiB.
    pub file_bytes: u64,
    /// Estimated memory of the decoded model: never above the larger of the two.
    pub memory_bytes: u64,
    /// … and this many times the file. Weights count once; lists of small numbers grow up to 16 times.
    pub memory_per_file_byte: u64,
    /// Nodes of all graphs and functions together.
    pub nodes: u64,
    /// Graphs within attributes of nodes of graphs within ….
    pub graph_depth: usize,
    /// Messages within messages. Protobuf readers stop at 100.
    pub message_depth: usize,
    /// Tensors, wherever they stand; a sparse one counts twice.
    pub tensors: u64,
    /// Attributes of all nodes and functions together.
    pub attributes: u64,
    /// Numbers or strings of one list.
    pub elements: u64,
    /// Strings, wherever they stand.
    pub strings: u64,
    /// Bytes of one text (names, documentation, metadata).
    pub text_bytes: u64,
    /// Functions that the model defines.
    pub functions: u64,
    /// Bytes of external data together.
    pub external_bytes: u64,
    /// Bytes of one value whose size the file itself fixes (looked at by the scan).
    pub static_bytes: u64,
    /// Rounds of a loop, times those of the loops around it, where the file itself fixes them (the scan).
    pub static_trips: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 2 << 30,
            memory_bytes: 256 << 20,
            memory_per_file_byte: 16,
            nodes: 250_000,
            graph_depth: 16,
            message_depth: 96,
            tensors: 250_000,
            attributes: 1_000_000,
            elements: 1 << 26,
            strings: 1 << 26,
            text_bytes: 16 << 20,
            functions: 10_000,
            external_bytes: 256 << 30,
            static_bytes: 8 << 30,
            static_trips: 100_000_000,
        }
    }
}

/// What the first pass has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Bytes of the file; each has been looked at a bounded number of times.
    pub file_bytes: u64,
    /// Messages of any kind.
    pub messages: u64,
    /// Nodes of all graphs and functions.
    pub nodes: u64,
    /// Tensors; a sparse one counts twice.
    pub tensors: u64,
    /// Attributes.
    pub attributes: u64,
    /// Strings, of texts and of lists.
    pub strings: u64,
    /// Functions.
    pub functions: u64,
    /// Deepest graph; the model's own counts one.
    pub graph_depth: usize,
    /// Estimated memory of the decoded model.
    pub memory_bytes: u64,
}
