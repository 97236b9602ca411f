//! The HTTPS edge: AdmissionReview in, AdmissionReview out.
