//! HTTP: paths, methods, limits, and a sentence for each bad request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::metrics::Metrics;
use super::review;
use super::verdict::{Decide, Verdict};
use crate::sidecar::value::duration;

/// Longest request body, in bytes. The API server sends objects of up to 3 MiB, in an update two of them.
pub const MAX_BODY: usize = 7 << 20;
/// How much more than that is read, and thrown away, before the connection is given up, in bytes.
const MAX_IGNORED: usize = 32 << 20;

/// How much of bodies is in memory at once, in KiB; who comes later waits. (A semaphore has 32 bits.)
const BODIES: u32 = 64 << 10;
/// How long a caller waits who does not say so, in the API server's own `?timeout=`: its default.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bad request: its status, and a sentence that says what was wrong and what is right.
type Complaint = (StatusCode, String);

/// What a request needs.
struct Webhook {
    decide: Arc<Decide>,
    metrics: Arc<Metrics>,
    bodies: Semaphore,
}

/// The webhook: `POST /mutate`, answered by `decide`.
pub fn webhook(decide: Arc<Decide>, metrics: Arc<Metrics>) -> Router {
    let bodies = Semaphore::new(BODIES as usize);
    Router::new()
        .route("/mutate", post(mutate).fallback(wrong_method))
        .fallback(wrong_path)
        .with_state(Arc::new(Webhook { decide, metrics, bodies }))
}

/// What the kubelet asks (`/healthz`: is the process alive, `/readyz`: shall it get requests), and Prometheus
/// (`/metrics`).
pub fn health(ready: Arc<AtomicBool>, metrics: Arc<Metrics>) -> Router {
    let readyz = move || async move {
        if ready.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
        }
    };
    Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(readyz)).route(
        "/metrics",
        get(async move || ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], metrics.text())),
    )
}

async fn mutate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    match answer(&webhook, request).await {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(complaint) => {
            webhook.metrics.bad_request(complaint.0);
            tracing::warn!(status = complaint.0.as_u16(), reason = complaint.1, "bad request");
            complaint.into_response()
        }
    }
}

/// An answer, or a complaint, before the caller gives up: one that comes later helps nobody.
async fn answer(webhook: &Webhook, request: Request) -> Result<Vec<u8>, Complaint> {
    check_content_type(request.headers())?;
    let deadline = Instant::now() + patience(request.uri()).mul_f64(0.8);
    let wait = timeout_at(deadline, webhook.bodies.acquire_many(size(&request)));
    let Ok(Ok(_memory)) = wait.await else {
        let sentence = "too many reviews at once; send this one to another replica, or again";
        return Err((StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned()));
    };
    let Ok(body) = timeout_at(deadline, body(request)).await else {
        let sentence = "the body did not come within the time that the caller has; send it at once";
        return Err((StatusCode::REQUEST_TIMEOUT, sentence.to_owned()));
    };
    respond(&body?, webhook)
}

/// The time that the caller has: its `?timeout=`, a Go duration.
fn patience(uri: &Uri) -> Duration {
    let query = uri.query().unwrap_or_default();
    let given = query.split('&').find_map(|pair| pair.strip_prefix("timeout="));
    let nanos = given.and_then(duration).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map_or(PATIENCE, Duration::from_nanos).min(3 * PATIENCE)
}

/// How much of [`BODIES`] a request may take, in KiB: what it says, or the most that is read.
fn size(request: &Request) -> u32 {
    let most = u32::try_from(MAX_BODY >> 10).unwrap_or(BODIES);
    let said = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    said.and_then(|bytes| u32::try_from((bytes >> 10) + 1).ok()).map_or(most, |kib| kib.min(most))
}

async fn body(request: Request) -> Result<Bytes, Complaint> {
    let mut body = request.into_body();
    match Limited::new(&mut body, MAX_BODY).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            // Most clients listen only once they have said all, so let them, within reason.
            let mut rest = Limited::new(body, MAX_IGNORED);
            while let Some(Ok(_)) = rest.frame().await {}
            let sentence =
                format!("the body is longer than the {MAX_BODY} bytes that are accepted");
            Err((StatusCode::PAYLOAD_TOO_LARGE, sentence))
        }
        Err(error) => {
            Err((StatusCode::BAD_REQUEST, format!("the body broke off: {error}; send all of it")))
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Complaint> {
    let found = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("unknown"));
    let essence = found.map(|value| value.split(';').next().unwrap_or_default().trim());
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let sentence = match found {
        Some(found) => {
            format!("the content type is {found:?}; send an AdmissionReview as application/json")
        }
        None => "the content type is missing; send an AdmissionReview as application/json".into(),
    };
    Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence))
}

fn respond(body: &[u8], webhook: &Webhook) -> Result<Vec<u8>, Complaint> {
    let began = std::time::Instant::now();
    // The engine's panics are caught where the uid is known. This is for all others: a caller whose connection
    // breaks learns nothing, and does not try again.
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let review = review::read(body).map_err(|sentence| (StatusCode::BAD_REQUEST, sentence))?;
        let verdict = Verdict::of(&review, webhook.decide.as_ref());
        let answer = review::write(&review.uid, &verdict.answer).map_err(|error| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be written: {error}"))
        })?;
        let took = began.elapsed();
        webhook.metrics.decided(&verdict, took);
        verdict.log(&review, took);
        Ok(answer)
    }));
    answered.unwrap_or_else(|_payload| {
        let sentence = "outrigger itself failed (a bug); its log says more";
        Err((StatusCode::INTERNAL_SERVER_ERROR, sentence.to_owned()))
    })
}

async fn wrong_method(method: Method) -> Complaint {
    let sentence = format!("{method} is not understood here; POST an AdmissionReview");
    (StatusCode::METHOD_NOT_ALLOWED, sentence)
}

async fn wrong_path(uri: Uri) -> Complaint {
    let sentence = format!("nothing is at {}; POST an AdmissionReview to /mutate", uri.path());
    (StatusCode::NOT_FOUND, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use tower::ServiceExt;

    #[test]
    fn patience_is_the_callers() {
        for (uri, millis) in [
            ("/mutate?timeout=3s", 3_000),
            ("/mutate?a=b&timeout=500ms", 500),
            ("/mutate", 10_000),
            ("/mutate?timeout=soon", 10_000),
            ("/mutate?timeout=9000h", 30_000),
        ] {
            assert_eq!(patience(&uri.parse().unwrap()).as_millis(), millis, "{uri}");
        }
    }

    #[tokio::test]
    async fn readiness_ends_before_life() {
        for (path, ready, expected) in [
            ("/healthz", true, 200),
            ("/readyz", true, 200),
            ("/healthz", false, 200),
            ("/readyz", false, 503),
            ("/metrics", true, 200),
            ("/", true, 404),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = health(Arc::new(AtomicBool::new(ready)), Arc::default())
                .oneshot(request)
                .await
                .unwrap();
            assert_eq!(response.status(), expected, "{path} {ready}");
        }
    }
}
