//! Integration tests: the whole server over real TCP, knocked on from outside. One binary, one module a topic.
//!
//! | module | what it shows |
//! |---|---|
//! | `golden` | every golden pair of the sample models, over JSON and bytes |
//! | `infer` | requested outputs, ids, versions, datatypes, classes, metadata |
//! | `binary` | tensors as bytes behind the JSON, and raw requests |
//! | `compression` | compressed requests and replies |
//! | `bad_tensors`, `bad_json`, `bad_http`, `bad_names` | everything that can be wrong with a request |
//! | `refusal` | how those are written down and checked |
//! | `predict` | the native API: named features in every form, what is served, versions of the API |
//! | `wrong_requests` | a table of wrong requests with their exact messages; every problem as documented |
//! | `slow` | clients that trickle, stop, or leave |
//! | `access` | every route with every kind of token; quotas |
//! | `registry`, `files` | load, unload, index; broken and hostile files; polling |
//! | `engines` | which engine runs a model, by whose word, and what is remembered of it |
//! | `explaining`, `explaining_many`, `explaining_limits`, `explaining_links` | explanations: fidelity, every form of question; jobs, backgrounds, counterfactuals, comparisons; what is refused |
//! | `explaining_methods` | every way to explain, asked of a model that it fits |
//! | `explaining_pictures`, `explaining_examples` | explanations as pictures and reports; the examples of their page |
//! | `cross_check` | a second engine answers too, and what is told of it |
//! | `repositories` | what was laid out for Triton, TF Serving or MLflow |
//! | `batching` | requests that run together, and what is told of it |
//! | `overload` | who finds no room, and is told why; the memory of all bodies; who leaves the queue |
//! | `breaking` | circuit breakers, fallback, faults on order |
//! | `swaps` | one version swapped again and again under load |
//! | `memory` | what loads, failed loads and unloads leave behind |
//! | `residency` | more models than memory |
//! | `stages` | models of several parts: what answers, descriptions, metrics and errors say of their parts |
//! | `served` | models with first-party plugins around them, as in Python |
//! | `cold_start` | copies over restarts, lazy models, what a start takes |
//! | `cli_probe` | what models take; what policies make of a trace |
//! | `lifecycle`, `cli` | signals, draining, limits of connections; the command line |
//! | `cli_help`, `cli_model`, `cli_infer`, `cli_doctor` | what the subcommands say, as snapshots |
//! | `cli_paths` | folders that are easily mistaken for each other |
//! | `cli_plugin` | plugins: begun, checked, pinned |
//! | `plugin_path` | the way of a plugin's author, as the documentation has it |
//! | `plugin_services` | files of a model's folder and numbers for the metrics, in the server's process and apart |
//! | `plugins` | plugins of a running server: listed, loaded anew, counted |
//! | `openapi` | the document and the server say the same |
//! | `contracts` | the wire contracts of other servers, by what their own documents say |
//! | `grpc_infer`, `grpc_stream` | inference over gRPC: golden pairs, errors, streams |
//! | `grpc_access`, `grpc_limits` | every gRPC method with every kind of token; sizes, deadlines, leaving, connections |
//! | `grpc_control` | health, reflection, repository, addresses |
//! | `health` | the health listener: while all else is busy, and until the end |
//! | `threads` | who steps back, and how connections spread over workers |
//! | `result_cache` | answers that are kept, through every door |
//! | `counting` | statistics and metrics rise by what was sent |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on panics, and waits by the real clock"
)]

mod access;
mod bad_http;
mod bad_json;
mod bad_names;
mod bad_tensors;
mod batching;
mod binary;
mod breaking;
mod cli;
mod cli_doctor;
mod cli_help;
mod cli_infer;
mod cli_model;
mod cli_paths;
mod cli_plugin;
mod cli_probe;
mod cli_scan;
mod cold_start;
mod compression;
mod contracts;
mod counting;
mod cross_check;
mod engines;
mod explaining;
mod explaining_examples;
mod explaining_limits;
mod explaining_links;
mod explaining_many;
mod explaining_methods;
mod explaining_pictures;
mod files;
mod golden;
mod grpc_access;
mod grpc_control;
mod grpc_infer;
mod grpc_limits;
mod grpc_stream;
mod health;
mod infer;
mod lifecycle;
mod memory;
mod openapi;
mod overload;
mod plugin_path;
mod plugin_services;
mod plugins;
mod predict;
mod refusal;
mod registry;
mod repositories;
mod residency;
mod result_cache;
mod served;
mod slow;
mod stages;
mod swaps;
mod threads;
mod wrong_requests;
