//! "Did you mean …?" for keys and words.

/// Words that people use elsewhere for what is called otherwise here.
const SYNONYMS: &[(&str, &[&str])] = &[
    (
        "secret",
        &[
            "password",
            "passwd",
            "token",
            "credential",
            "credentials",
            "api_key",
            "apikey",
        ],
    ),
    (
        "address",
        &["host", "hostname", "ip", "addr", "fqdn", "ansible_host"],
    ),
    (
        "platform",
        &["type", "board", "machine", "hardware", "model"],
    ),
    ("kind", &["type", "adapter", "provider"]),
    ("roles", &["role", "groups", "group", "tags"]),
    ("labels", &["tags", "annotations"]),
    (
        "identities",
        &[
            "key",
            "keys",
            "identity",
            "identity_file",
            "private_key",
            "ssh_key",
            "keyfile",
        ],
    ),
    ("user", &["username", "login", "ansible_user"]),
    ("url", &["endpoint", "uri", "base_url"]),
    ("urls", &["endpoints", "members"]),
    (
        "jump",
        &["bastion", "proxy_jump", "proxyjump", "proxy", "via"],
    ),
    ("elevate", &["become", "sudo"]),
    ("config", &["ssh_config", "config_file"]),
    ("forward_agent", &["agent_forwarding", "forwardagent"]),
    ("nodes", &["hosts", "machines", "servers"]),
    ("variables", &["vars", "values"]),
    ("ca", &["ca_file", "cacert", "ca_cert", "certificate"]),
    ("sha256", &["checksum", "hash", "digest", "sha"]),
    ("source", &["url", "path", "file"]),
    ("arch", &["architecture", "cpu"]),
    ("amd64", &["x86_64", "x86-64", "x64"]),
    ("arm64", &["aarch64", "armv8"]),
    (
        "kubernetes-server",
        &["k8s-master", "master", "control-plane", "k3s-server"],
    ),
    ("kubernetes-agent", &["k8s-worker", "worker", "k3s-agent"]),
    ("kubernetes", &["k8s", "k3s", "kubeadm", "microk8s"]),
    ("two-person", &["two-operator", "four-eyes", "dual"]),
    ("vault", &["openbao", "bao"]),
    ("bastion", &["jump", "jump-host", "jumphost"]),
    ("no", &["false", "none", "never"]),
    ("file", &["path"]),
    ("command", &["cmd", "exec"]),
    ("env", &["environment", "variable"]),
];

/// The one of `known` that `word` was most probably meant to be.
pub(crate) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let wanted = plain(word);
    // Edit distance is quadratic; nobody mistypes a key of this length.
    if wanted.len() > 64 {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(same) = known.iter().find(|candidate| plain(candidate) == wanted) {
        return Some(same);
    }
    let meant = |candidate: &str| {
        SYNONYMS.iter().any(|(right, wrong)| {
            *right == candidate && wrong.iter().any(|wrong| plain(wrong) == wanted)
        })
    };
    if let Some(synonym) = known.iter().find(|candidate| meant(candidate)) {
        return Some(synonym);
    }
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&wanted, &plain(candidate)),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(wanted.len()) / 3).max(1))
        // Two edits turn any short word into another.
        .filter(|(distance, _)| wanted.chars().count() > 2 && *distance < wanted.chars().count())
        // Among equals the first by name, whatever the order they came in.
        .min()
        .map(|(_, candidate)| candidate)
}

/// Without case and without the choice between `-`, `_`, `.` and nothing.
fn plain(word: &str) -> String {
    word.chars()
        .filter(|character| !matches!(character, '-' | '_' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_word_is_found_and_an_unlikely_one_is_not_forced() {
        let roles = ["consul-server", "consul-client", "vault", "nomad-server"];
        assert_eq!(closest("consul-sever", roles), Some("consul-server"));
        assert_eq!(closest("ConsulServer", roles), Some("consul-server"));
        assert_eq!(closest("openbao", roles), Some("vault"));
        assert_eq!(closest("postgres", roles), None);
        assert_eq!(closest("", roles), None);
        assert_eq!(closest("x", ["y"]), None);
        assert_eq!(closest(&"a".repeat(100_000), roles), None);
    }
}
