//! The HTTPS edge: AdmissionReview in, AdmissionReview out.
//!
//! | module | what is in it |
//! |---|---|
//! | [`review`] | the bytes: an AdmissionReview read, and its answer written |
//! | [`verdict`] | what is answered to one review, whatever the engine does |
//! | [`routes`] | HTTP: paths, methods, limits, and a sentence for each bad request |
//! | [`metrics`] | what Prometheus is told |
//! | [`server`] | connections: accepted, handed to the routes, drained |
//! | [`tls`] | certificate and key, from files, anew when they change |
//!
//! Nothing here decides about sidecars: the decision is a function that is passed in.

pub mod metrics;
pub mod review;
pub mod routes;
pub mod server;
pub mod tls;
pub mod verdict;
