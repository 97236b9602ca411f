//! HTTP: paths, methods, limits, and a sentence for each bad request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::review;
use super::verdict::{Decide, Verdict};

/// Longest request body, in bytes. The API server sends objects of up to 3 MiB, in an update two of them.
pub const MAX_BODY: usize = 7 << 20;
/// How much more than that is read, and thrown away, before the connection is given up, in bytes.
const MAX_IGNORED: usize = 32 << 20;

/// A bad request: its status, and a sentence that says what was wrong and what is right.
type Complaint = (StatusCode, String);

/// The webhook: `POST /mutate`, answered by `decide`.
pub fn webhook(decide: Arc<Decide>) -> Router {
    Router::new()
        .route("/mutate", post(mutate).fallback(wrong_method))
        .fallback(wrong_path)
        .with_state(decide)
}

/// What the kubelet asks: `/healthz` is the process alive, `/readyz` shall it get requests.
pub fn health(ready: Arc<AtomicBool>) -> Router {
    let readyz = move || async move {
        if ready.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
        }
    };
    Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(readyz))
}

async fn mutate(State(decide): State<Arc<Decide>>, request: Request) -> Response {
    match body(request).await.and_then(|body| respond(&body, decide.as_ref())) {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(complaint) => {
            tracing::warn!(status = complaint.0.as_u16(), reason = complaint.1, "bad request");
            complaint.into_response()
        }
    }
}

async fn body(request: Request) -> Result<Bytes, Complaint> {
    check_content_type(request.headers())?;
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

fn respond(body: &[u8], decide: &Decide) -> Result<Vec<u8>, Complaint> {
    let began = Instant::now();
    // The engine's panics are caught where the uid is known. This is for all others: a caller whose connection
    // breaks learns nothing, and does not try again.
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let review = review::read(body).map_err(|sentence| (StatusCode::BAD_REQUEST, sentence))?;
        let verdict = Verdict::of(&review, decide);
        let answer = review::write(&review.uid, &verdict.answer).map_err(|error| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be written: {error}"))
        })?;
        verdict.log(&review, began.elapsed());
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

    #[tokio::test]
    async fn readiness_ends_before_life() {
        for (path, ready, expected) in [
            ("/healthz", true, 200),
            ("/readyz", true, 200),
            ("/healthz", false, 200),
            ("/readyz", false, 503),
            ("/", true, 404),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = health(Arc::new(AtomicBool::new(ready))).oneshot(request).await.unwrap();
            assert_eq!(response.status(), expected, "{path} {ready}");
        }
    }
}
