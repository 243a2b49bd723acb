//! Prints the layout of the interface as Rust sees it: what `cargo xtask header` writes to `layout-0.1.tsv`.
//!
//! It does not know the header; `tests/header.rs` asks a C compiler for the same table.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use candor_plugin_abi::{LAYOUTS, NUMBERS};

fn main() {
    println!("what\tkind\tfield\toffset\tsize");
    for layout in LAYOUTS {
        let kind = format!("{:?}", layout.frozen).to_lowercase();
        println!("{}\t{kind}\t-\t0\t{}", layout.name, layout.size);
        for field in layout.fields {
            println!("{}\t{kind}\t{}\t{}\t{}", layout.name, field.name, field.offset, field.size);
        }
    }
    for (name, value) in NUMBERS {
        println!("{name}\tnumber\t-\t{value}\t-");
    }
}
