//! The bytes: an AdmissionReview read, and its answer written.
//!
//! Only the fields that decide are read, borrowed from the request, the pod among them: one pass over the bytes.
//! The answer is written from a struct of our own, since kube's serialises the patch as an array of numbers.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::inject::{PodView, unreadable_asks};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// What the API server asks.
#[derive(Debug)]
pub struct Review<'a> {
    /// Names the request; the answer must repeat it.
    pub uid: Cow<'a, str>,
    /// Where the object is to be created; empty for objects outside namespaces.
    pub namespace: Cow<'a, str>,
    /// The object's name; empty where the API server is to generate it.
    pub name: Cow<'a, str>,
    /// Whether nothing will be stored; the answer is the same.
    pub dry_run: bool,
    /// What it is about.
    pub subject: Subject<'a>,
}

/// What a review is about.
#[expect(
    clippy::large_enum_variant,
    reason = "one for each request, and nearly always the large one"
)]
#[derive(Debug)]
pub enum Subject<'a> {
    /// A pod that is being created.
    Pod(PodView<'a>),
    /// A pod that is being created, but is not what Kubernetes says a pod is.
    Unreadable {
        /// Whether its annotations ask for sidecars all the same.
        asks: bool,
        /// The path inside the pod, and what is wrong there.
        why: String,
    },
    /// Anything else, which is none of our business.
    Other,
}

/// A string borrowed from the request unless it holds escapes (Go writes `<`, `>` and `&` as `\u003c` and so on).
/// A type of its own because serde borrows a bare `Cow` only outside of `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an AdmissionReview")]
struct Wire<'a, O> {
    #[serde(borrow)]
    api_version: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    request: Option<Request<'a, O>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the request of an AdmissionReview")]
struct Request<'a, O> {
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    kind: Option<Kind<'a>>,
    namespace: Option<Text<'a>>,
    name: Option<Text<'a>>,
    operation: Option<Text<'a>>,
    sub_resource: Option<Text<'a>>,
    dry_run: Option<bool>,
    object: Option<O>,
}

#[derive(Deserialize)]
#[serde(expecting = "group, version and kind")]
struct Kind<'a> {
    #[serde(borrow)]
    group: Option<Text<'a>>,
    version: Option<Text<'a>>,
    kind: Option<Text<'a>>,
}

/// Reads a review.
///
/// # Errors
/// A sentence for the caller: what is wrong with the review itself, and what is right. A pod that cannot be read is
/// no error here, since the uid is known then and an answer can be given: see [`Subject::Unreadable`].
pub fn read(body: &[u8]) -> Result<Review<'_>, String> {
    if body.trim_ascii().is_empty() {
        return Err(format!("the body is empty; send an {KIND} of {API_VERSION} as JSON"));
    }
    if let Ok(wire) = serde_json::from_slice::<Wire<'_, PodView<'_>>>(body) {
        return wire.checked(Subject::Pod);
    }
    // The pod may be to blame, or the review: leave the pod unread, and look again, now keeping track of the path.
    let wire: Wire<'_, &RawValue> =
        tracked(serde_json::Deserializer::from_slice(body)).map_err(|why| {
            format!("the body cannot be read: {why}; send an {KIND} of {API_VERSION} as JSON")
        })?;
    wire.checked(|raw| match tracked(serde_json::Deserializer::from_str(raw.get())) {
        Ok(pod) => Subject::Pod(pod),
        Err(why) => Subject::Unreadable { asks: unreadable_asks(raw.get()), why },
    })
}

/// Reads all of a text; an error says where, by the path inside it.
fn tracked<'a, T: Deserialize<'a>>(
    mut text: serde_json::Deserializer<impl serde_json::de::Read<'a>>,
) -> Result<T, String> {
    let read = serde_path_to_error::deserialize(&mut text).map_err(|error| {
        match error.path().to_string().as_str() {
            "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        }
    })?;
    text.end().map_err(|error| error.to_string())?;
    Ok(read)
}

impl<'a, O> Wire<'a, O> {
    fn checked(self, subject: impl FnOnce(O) -> Subject<'a>) -> Result<Review<'a>, String> {
        for (field, found, right) in
            [("apiVersion", &self.api_version, API_VERSION), ("kind", &self.kind, KIND)]
        {
            match found {
                Some(Text(found)) if found == right => {}
                Some(Text(found)) => {
                    return Err(format!("{field} is {found:?}; only {right:?} is understood here"));
                }
                None => return Err(format!("{field} is missing; it must be {right:?}")),
            }
        }
        let Some(request) = self.request else {
            return Err(format!(
                "request is missing; an {KIND} that asks something must have one, with uid, kind, operation and object"
            ));
        };
        let concerns_us = request.creates_pod();
        let Some(uid) = request.uid.map(|Text(uid)| uid).filter(|uid| !uid.is_empty()) else {
            return Err(
                "request.uid is missing; without it the answer could not be told from another"
                    .to_owned(),
            );
        };
        let subject = match request.object {
            _ if !concerns_us => Subject::Other,
            Some(object) => subject(object),
            None => Subject::Unreadable { asks: false, why: "the pod is missing".to_owned() },
        };
        let text = |field: Option<Text<'a>>| field.map(|Text(text)| text).unwrap_or_default();
        Ok(Review {
            uid,
            namespace: text(request.namespace),
            name: text(request.name),
            dry_run: request.dry_run.unwrap_or(false),
            subject,
        })
    }
}

impl<O> Request<'_, O> {
    fn creates_pod(&self) -> bool {
        let is = |field: &Option<Text<'_>>, right: &str| {
            field.as_ref().map_or("", |Text(text)| text) == right
        };
        is(&self.operation, "CREATE")
            && is(&self.sub_resource, "")
            && self.kind.as_ref().is_some_and(|kind| {
                is(&kind.group, "") && is(&kind.version, "v1") && is(&kind.kind, "Pod")
            })
    }
}

/// What the API server is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whether the object may be created, and how.
    pub ruling: Ruling,
    /// What kubectl shows to the user: at most 8, each at most 200 characters.
    pub warnings: Vec<String>,
}

/// Whether the object may be created, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum Ruling {
    /// As it is.
    Allow,
    /// With these changes.
    Patch(Patch),
    /// Not at all.
    Deny {
        /// The HTTP status that the API server gives to its own caller.
        code: u16,
        /// The same, as one of Kubernetes' words.
        reason: &'static str,
        /// The text for the user.
        message: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireAnswer<'a> {
    api_version: &'a str,
    kind: &'a str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'a str,
    message: &'a str,
}

/// Writes the answer to the review with this uid.
///
/// # Errors
/// What the serializer says; an answer can always be written.
pub fn write(uid: &str, answer: &Answer) -> serde_json::Result<Vec<u8>> {
    let (patch, status) = match &answer.ruling {
        Ruling::Allow => (None, None),
        Ruling::Patch(patch) => (Some(STANDARD.encode(serde_json::to_vec(patch)?)), None),
        Ruling::Deny { code, reason, message } => {
            (None, Some(Status { code: *code, reason, message }))
        }
    };
    serde_json::to_vec(&WireAnswer {
        api_version: API_VERSION,
        kind: KIND,
        response: Response {
            uid,
            allowed: status.is_none(),
            status,
            patch_type: patch.as_ref().map(|_| "JSONPatch"),
            patch,
            warnings: &answer.warnings,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn borrows_unless_escaped() {
        let body = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",
            "request":{"uid":"u","namespace":"a\u003cb","operation":"DELETE","object":null}}"#;
        let review = read(body).unwrap();
        assert!(matches!(review.uid, Cow::Borrowed("u")));
        assert!(matches!(&review.namespace, Cow::Owned(text) if text == "a<b"));
        assert!(matches!(review.subject, Subject::Other));
    }

    #[test]
    fn answers() {
        let patch = json_patch::Patch(Vec::new());
        let deny = Ruling::Deny { code: 422, reason: "Invalid", message: "no".to_owned() };
        for (ruling, expected) in [
            (Ruling::Allow, json!({"uid": "u", "allowed": true})),
            (
                Ruling::Patch(patch),
                json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": "W10="}),
            ),
            (
                deny,
                json!({"uid": "u", "allowed": false,
                    "status": {"code": 422, "reason": "Invalid", "message": "no"}}),
            ),
        ] {
            let written = write("u", &Answer { ruling, warnings: Vec::new() }).unwrap();
            let written: Value = serde_json::from_slice(&written).unwrap();
            assert_eq!(written["response"], expected);
            assert_eq!(written["apiVersion"], API_VERSION);
            assert_eq!(written["kind"], KIND);
        }
    }
}
