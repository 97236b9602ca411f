//! What the kubelet makes of `$(X)` in arguments: `k8s.io/kubernetes/third_party/forked/golang/expansion`,
//! line by line.

use std::collections::BTreeMap;

/// The text that a process is given, with these variables.
pub(crate) fn expand(input: &str, variables: &BTreeMap<String, String>) -> String {
    let bytes = input.as_bytes();
    let mut output = Vec::new();
    let mut checkpoint = 0;
    let mut cursor = 0;
    while cursor < bytes.len() {
        if bytes[cursor] == b'$' && cursor + 1 < bytes.len() {
            output.extend_from_slice(&bytes[checkpoint..cursor]);
            let (read, is_variable, advance) = read_name(&bytes[cursor + 1..]);
            if is_variable {
                let name = String::from_utf8(read).unwrap();
                match variables.get(&name) {
                    Some(value) => output.extend_from_slice(value.as_bytes()),
                    None => output.extend_from_slice(format!("$({name})").as_bytes()),
                }
            } else {
                output.extend_from_slice(&read);
            }
            cursor += advance;
            checkpoint = cursor + 1;
        }
        cursor += 1;
    }
    output.extend_from_slice(&bytes[checkpoint.min(bytes.len())..]);
    String::from_utf8(output).unwrap()
}

fn read_name(input: &[u8]) -> (Vec<u8>, bool, usize) {
    match input[0] {
        b'$' => (vec![b'$'], false, 1),
        b'(' => match input.iter().position(|b| *b == b')') {
            Some(end) => (input[1..end].to_vec(), true, end + 1),
            None => (b"$(".to_vec(), false, 1),
        },
        other => (vec![b'$', other], false, 1),
    }
}

#[test]
fn expands_as_upstream_tests_say() {
    let variables = BTreeMap::from([
        ("VAR_A".to_owned(), "A".to_owned()),
        ("VAR_B".to_owned(), "B".to_owned()),
        ("VAR_EMPTY".to_owned(), String::new()),
    ]);
    for (input, expected) in [
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_A)$(VAR_B)-1", "AB-1"),
        ("f000-$VAR_A", "f000-$VAR_A"),
        ("$(VAR_NO)x", "$(VAR_NO)x"),
        ("$$(VAR_A)", "$(VAR_A)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$(VAR_A)", "$$(VAR_A)"),
        ("foo$(VAR_EMPTY)bar", "foobar"),
        ("$(VAR_A", "$(VAR_A"),
        ("a$", "a$"),
        ("$$", "$"),
        ("$VAR_A)", "$VAR_A)"),
        ("ü$ü", "ü$ü"),
    ] {
        assert_eq!(expand(input, &variables), expected, "{input}");
    }
}
