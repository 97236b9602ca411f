//! The few fields of a pod that decide, borrowed from the request's bytes. Everything else is skipped, and so
//! cannot be lost.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::names;

/// What the engine knows of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a", remote = "Self")]
pub struct PodView<'a> {
    /// Nothing if there is none, as in a bare pod template.
    #[serde(default, borrow)]
    pub(super) metadata: Option<Metadata<'a>>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) spec: Spec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound = "'de: 'a", remote = "Self")]
pub(super) struct Metadata<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    name: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    generate_name: Text<'a>,
    /// Nothing if the pod has none: then the patch must make the map first.
    #[serde(default, borrow)]
    pub(super) annotations: Option<Annotations<'a>>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    labels: Labels<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound = "'de: 'a", remote = "Self")]
pub(super) struct Spec<'a> {
    #[serde(default, borrow)]
    pub(super) containers: Option<Vec<Container<'a>>>,
    #[serde(default, borrow)]
    pub(super) init_containers: Option<Vec<Container<'a>>>,
    #[serde(default, borrow)]
    pub(super) volumes: Option<Vec<Volume<'a>>>,
    #[serde(default, rename = "hostPID", deserialize_with = "or_default")]
    pub(super) host_pid: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) host_network: bool,
    pub(super) share_process_namespace: Option<bool>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) restart_policy: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    os: Os<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    node_selector: NodeSelector<'a>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) security_context: SecurityContext,
    #[serde(default, borrow)]
    pub(super) resources: Option<Resources<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound = "'de: 'a", remote = "Self")]
pub(super) struct Container<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) name: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) image: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) restart_policy: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) ports: Vec<Port<'a>>,
    #[serde(default, borrow)]
    pub(super) env: Option<Vec<Named<'a>>>,
    #[serde(default, borrow)]
    pub(super) volume_mounts: Option<Vec<Mount<'a>>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) security_context: SecurityContext,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) resources: Resources<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound = "'de: 'a")]
pub(super) struct Port<'a> {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) container_port: i64,
    #[serde(default, borrow, deserialize_with = "or_default")]
    protocol: Text<'a>,
}

impl Port<'_> {
    /// `TCP` if unset, as the API server would write.
    pub(super) fn protocol(&self) -> &str {
        if self.protocol.0.is_empty() { "TCP" } else { &self.protocol.0 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub(super) struct Named<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound = "'de: 'a")]
pub(super) struct Mount<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) name: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) mount_path: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) sub_path: Text<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) sub_path_expr: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) read_only: bool,
}

/// A volume: its name, and of its sources only what decides.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound = "'de: 'a")]
pub(super) struct Volume<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) name: Text<'a>,
    empty_dir: Option<IgnoredAny>,
    config_map: Option<IgnoredAny>,
    secret: Option<IgnoredAny>,
    projected: Option<IgnoredAny>,
    #[serde(rename = "downwardAPI")]
    downward_api: Option<IgnoredAny>,
    image: Option<IgnoredAny>,
}

impl Volume<'_> {
    pub(super) fn is_empty_dir(&self) -> bool {
        self.empty_dir.is_some()
    }

    /// The source's name, if it is one that nobody can write to.
    pub(super) fn read_only_source(&self) -> Option<&'static str> {
        [
            (self.config_map.is_some(), "configMap"),
            (self.secret.is_some(), "secret"),
            (self.projected.is_some(), "projected"),
            (self.downward_api.is_some(), "downwardAPI"),
            (self.image.is_some(), "image"),
        ]
        .into_iter()
        .find_map(|(is, source)| is.then_some(source))
    }

    /// The source's name, if the volume holds only what the kubelet has written there: no directory of it can be
    /// mounted over, unless the kubelet made that too. (An image may have any directory.)
    pub(super) fn kubelet_writes(&self) -> Option<&'static str> {
        self.read_only_source().filter(|_| self.image.is_none())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext {
    pub(super) run_as_user: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
struct Os<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
struct NodeSelector<'a> {
    #[serde(default, borrow, rename = "kubernetes.io/os", deserialize_with = "or_default")]
    os: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
struct Labels<'a> {
    #[serde(default, borrow, rename = "outrigger.dev/injection", deserialize_with = "or_default")]
    injection: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub(super) struct Resources<'a> {
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) limits: Amounts<'a>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(super) requests: Amounts<'a>,
}

/// The two resources that decide a pod's quality of service.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub(super) struct Amounts<'a> {
    #[serde(default, borrow)]
    pub(super) cpu: Option<Scalar<'a>>,
    #[serde(default, borrow)]
    pub(super) memory: Option<Scalar<'a>>,
}

impl<'a> PodView<'a> {
    /// Reads a pod's (or pod template's) JSON.
    ///
    /// # Errors
    /// What is not as Kubernetes says it is, and where.
    pub fn from_json(bytes: &'a [u8]) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        serde_path_to_error::deserialize(&mut json)
            .map_err(|error| format!("{}: {}", error.path(), cause(error.inner())))
    }

    /// Whether the pod itself asks for sidecars.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.annotation(names::INJECT).unwrap_or_default().trim().is_empty()
    }

    /// `metadata.name`, or `metadata.generateName`, or nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        let Some(metadata) = &self.metadata else { return "" };
        if metadata.name.0.is_empty() { &metadata.generate_name.0 } else { &metadata.name.0 }
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The annotations that mean something to the engine.
    pub(super) fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.metadata.as_ref().and_then(|m| m.annotations.as_ref());
        all.map(|a| a.0.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|(key, value)| (&*key.0, &*value.0))
    }

    pub(super) fn is_opted_out(&self) -> bool {
        self.metadata.as_ref().is_some_and(|m| m.labels.injection.0 == "disabled")
    }

    pub(super) fn is_windows(&self) -> bool {
        self.spec.os.name.0 == "windows" || self.spec.node_selector.os.0 == "windows"
    }

    pub(super) fn containers(&self) -> &[Container<'a>] {
        self.spec.containers.as_deref().unwrap_or_default()
    }

    pub(super) fn init_containers(&self) -> &[Container<'a>] {
        self.spec.init_containers.as_deref().unwrap_or_default()
    }

    pub(super) fn volumes(&self) -> &[Volume<'a>] {
        self.spec.volumes.as_deref().unwrap_or_default()
    }
}

/// The parser's message without the place in the JSON, which no user wrote; the path says where.
fn cause(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).map(ToOwned::to_owned).unwrap_or(message)
}

/// Whether the JSON of a pod that cannot be read asks for sidecars: only its annotations need to be in order.
#[must_use]
pub fn unreadable_asks(json: &str) -> bool {
    let pod: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let asked =
        pod.get("metadata").and_then(|m| m.get("annotations")).and_then(|a| a.get(names::INJECT));
    asked.is_some_and(|value| {
        !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty())
    })
}

impl Container<'_> {
    pub(super) fn mounts(&self) -> &[Mount<'_>] {
        self.volume_mounts.as_deref().unwrap_or_default()
    }

    /// An init container that runs as long as the pod.
    pub(super) fn is_native_sidecar(&self) -> bool {
        self.restart_policy.0 == "Always"
    }
}

/// Text, borrowed where the JSON has no escapes in it. (A `Cow` alone would not borrow inside a list.)
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, in quotes")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Objects that a patch adds to are read from maps only: serde would take a list for one too, field by field, and
/// then the patch would not apply.
macro_rules! only_from_maps {
    ($($object:ident),+) => {$(
        impl<'de: 'a, 'a> Deserialize<'de> for $object<'a> {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> Visitor<'de> for Fields {
                    type Value = $object<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a map of fields")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                        $object::deserialize(MapAccessDeserializer::new(map))
                    }
                }

                json.deserialize_map(Fields)
            }
        }
    )+};
}

only_from_maps!(PodView, Metadata, Spec, Container);

/// `null` means absent, as it does to Kubernetes.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    json: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or_default())
}

/// The annotations that mean something to the engine; others may be long, and are skipped.
#[derive(Debug, Default)]
pub(super) struct Annotations<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(AnnotationsVisitor).map(Annotations)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Vec<(Text<'de>, Text<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of annotations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let ours = key.0.contains(names::OWN_PREFIX)
                || [names::DEFAULT_CONTAINER, names::SAFE_TO_EVICT, names::MIRROR]
                    .contains(&&*key.0);
            if ours {
                let value: Option<Text<'de>> = map.next_value()?;
                found.push((key, value.unwrap_or_default()));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A quantity, which may be written as text or as a number.
#[derive(Debug)]
pub(super) struct Scalar<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ScalarVisitor).map(Scalar)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn borrows_unless_escaped() {
        let pod = PodView::from_json(
            br#"{"spec": {"containers": [{"name": "a", "image": "x\u003c"}], "unknown": [[{}]]}}"#,
        )
        .unwrap();
        let container = &pod.containers()[0];
        assert!(matches!(container.name.0, Cow::Borrowed("a")));
        assert!(matches!(&container.image.0, Cow::Owned(text) if text == "x<"));
    }

    #[test]
    fn says_where_a_pod_cannot_be_read() {
        for (json, expected) in [
            (
                r#"{"spec": {"containers": [{"name": 5}]}}"#,
                "spec.containers[0].name: invalid type: integer `5`, expected a string, in quotes",
            ),
            (
                r#"{"spec": {"hostPID": "yes"}}"#,
                "spec.hostPID: invalid type: string \"yes\", expected a boolean",
            ),
            (
                r#"{"metadata": {"annotations": {"log.outrigger.dev/maxLine": 64}}}"#,
                "metadata.annotations.log.outrigger.dev/maxLine: invalid type: integer `64`, expected a string, in quotes",
            ),
            (
                r#"{"metadata": {"annotations": []}}"#,
                "metadata.annotations: invalid type: sequence, expected a map of annotations",
            ),
            (
                r#"{"spec": {"containers": [["a", "nginx"]]}}"#,
                "spec.containers[0]: invalid type: sequence, expected a map of fields",
            ),
            ("[]", ".: invalid type: sequence, expected a map of fields"),
        ] {
            assert_eq!(
                PodView::from_json(json.as_bytes()).map(|_| ()),
                Err(expected.to_owned()),
                "{json}"
            );
        }
    }

    #[test]
    fn an_unreadable_pod_may_still_ask() {
        for (pod, expected) in [
            (json!({"metadata": {"annotations": {"outrigger.dev/inject": "topz"}}}), true),
            (json!({"metadata": {"annotations": {"outrigger.dev/inject": 5, "a": [1]}}}), true),
            (json!({"metadata": {"annotations": {"outrigger.dev/inject": ""}}}), false),
            (json!({"metadata": {"annotations": {"a": "b"}}}), false),
            (json!({"metadata": {"annotations": []}}), false),
            (json!("text"), false),
        ] {
            assert_eq!(unreadable_asks(&pod.to_string()), expected, "{pod}");
        }
    }
}
