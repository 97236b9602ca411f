//! Outrigger: a Kubernetes mutating admission webhook that injects sidecars.
//!
//! The map of the house; arrows point one way, from top to bottom:
//!
//! | module | what is in it |
//! |---|---|
//! | [`commands`] | the command line: one file for each command |
//! | [`webhook`] | the HTTPS edge: AdmissionReview in, AdmissionReview out |
//! | [`inject`] | pure: pod and catalog in, JSON Patch or refusal out |
//! | [`sidecar`] | pure: what a sidecar is, and how its definition is checked |
//! | [`yaml`] | the only file that knows the YAML crate |
//! | [`names`] | every annotation, label and limit, once |

pub mod commands;
pub mod inject;
pub mod names;
pub mod sidecar;
pub mod webhook;
pub mod yaml;
