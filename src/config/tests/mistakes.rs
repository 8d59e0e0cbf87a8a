//! What a person sees for each mistake in an environment.

use super::*;

/// One test and one snapshot per mistake: the environment [`SOUND`] with a replacement, or a whole text.
macro_rules! mistakes {
    ($($name:ident: $from:literal => $to:expr;)+) => {
        $(#[test]
        fn $name() {
            assert!($from.is_empty() || SOUND.contains($from));
            let text = if $from.is_empty() { $to.to_owned() } else { SOUND.replacen($from, $to, 1) };
            assert_snapshot!(stringify!($name), seen(&text));
        })+
    };
}

mistakes! {
    unknown_key_suggests_the_right_one: "    address: 192.0.2.1\n" => "    adress: 192.0.2.1\n";
    unknown_key_suggests_a_synonym: "    address: 192.0.2.1\n" => "    ansible_host: 192.0.2.1\n";
    key_in_the_wrong_place_is_sent_to_the_right_one: "nodes:\n" => "protection: open\nnodes:\n";
    key_of_ssh_beside_ssh_is_sent_below_it: "    platform: odroid-h4\n" => "    platform: odroid-h4\n    port: 2222\n";
    unknown_role_suggests_the_right_one: "consul-server" => "consul-sever";
    unknown_platform_lists_what_there_is: "odroid-h4" => "mainframe";
    unknown_service_kind_is_refused: "kind: consul" => "kind: postgres";
    unknown_protection_is_refused: "  stack: nomad\n" => "  protection: locked\n";
    missing_name_is_pointed_at_its_node: "  - name: pc2\n    address" => "  - address";
    number_in_place_of_text_asks_for_quotes: "nodes:\n" => "hashicorp: {consul_version: 1.10}\nnodes:\n";
    text_in_place_of_a_list_asks_for_brackets: "roles: [nomad-client]" => "roles: nomad-client";
    key_without_value_is_told: "roles: [nomad-client]" => "roles:";
    fraction_in_place_of_a_port_is_refused: "nodes:\n" => "ssh: {port: 22.0}\nnodes:\n";
    port_out_of_range_is_refused: "nodes:\n" => "ssh: {port: 70000}\nnodes:\n";
    malformed_name_says_what_a_name_is: "name: pc2" => "name: 'pc 2'";
    address_with_a_port_says_where_the_port_goes: "192.0.2.2" => "192.0.2.2:22";
    malformed_version_shows_good_ones: "nodes:\n" => "versions: {consul: latest}\nnodes:\n";
    version_given_twice_shows_both_places: "nodes:\n" => "hashicorp:\n  consul_version: \"1.16\"\nversions:\n  consul: \"1.17\"\nnodes:\n";
    malformed_sha256_says_what_a_sum_is: "nodes:\n" => "artifacts: {consul: {arm64: {source: 'https://example.net/c.deb', sha256: abc}}}\nnodes:\n";
    missing_package_is_a_warning: "nodes:\n" => "artifacts: {consul: {arm64: {source: nowhere/c.deb, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}}}\nnodes:\n";
    two_nodes_of_one_name_show_both_places: "name: pc2" => "name: pc1";
    two_nodes_at_one_address_are_a_warning: "192.0.2.2" => "192.0.2.1";
    two_services_of_one_name_show_both_places: "  - kind: consul\n" => "  - kind: consul\n  - kind: consul\n";
    impossible_role_says_why: "roles: [consul-server, vault, nomad-server]" => "roles: [consul-server, microk8s]";
    contradicting_arch_is_refused: "platform: odroid-h4" => "platform: odroid-h4\n    arch: arm64";
    generic_machine_needs_an_arch: "platform: odroid-h4" => "platform: generic";
    even_quorum_is_a_warning: "roles: [nomad-client]" => "roles: [nomad-client, consul-server]";
    unused_role_is_a_warning: "roles: [nomad-client]" => "roles: [nomad-client, grafana]";
    role_given_twice_is_a_warning: "roles: [nomad-client]" => "roles: [nomad-client, nomad-client]";
    open_production_is_a_warning: "  name: test" => "  name: production\n  protection: open";
    secret_in_plain_text_is_refused_and_not_shown: "  - kind: consul\n" => "  - kind: consul\n    secret: \"hunter2-and-more\" # mine\n";
    secret_under_a_wrong_key_is_not_shown: "  - kind: consul\n" => "  - kind: consul\n    password: hunter2-and-more\n";
    secret_as_a_key_is_not_shown: "  - kind: consul\n" => "  - kind: consul\n    secret: {hunter2-and-more}\n";
    secret_in_a_variable_is_refused_and_not_shown: "nodes:\n" => "variables: {grafana_password: hunter2-and-more}\nnodes:\n";
    token_by_its_shape_is_refused_and_not_shown: "  - kind: consul\n" => "  - kind: consul\n    secret: {env: hvs.CAESIAbcdefghijklmnopqrstuvwx}\n";
    secret_with_two_forms_is_refused: "  - kind: consul\n" => "  - kind: consul\n    secret: {env: TOKEN, command: [pass, show, x]}\n";
    dollar_before_a_variable_name_is_refused: "  - kind: consul\n" => "  - kind: consul\n    secret: {env: $TOKEN}\n";
    password_in_a_url_is_refused_and_not_shown: "  - kind: consul\n" => "  - kind: consul\n    url: http://admin:hunter2-and-more@192.0.2.1:8500\n";
    url_without_scheme_is_refused: "  - kind: consul\n" => "  - kind: consul\n    url: 192.0.2.1:8500\n";
    url_and_urls_exclude_each_other: "  - kind: consul\n" => "  - kind: consul\n    url: http://a\n    urls: [http://b]\n";
    service_without_a_place_says_what_it_needs: "kind: consul" => "kind: grafana";
    service_on_an_unknown_node_suggests_one: "  - kind: consul\n" => "  - kind: consul\n    nodes: [pc1, pc-2, kc3]\n";
    missing_secret_file_is_a_warning: "  - kind: consul\n" => "  - kind: consul\n    secret: {file: nowhere/token}\n";
    missing_identity_is_a_warning: "nodes:\n" => "ssh: {identities: [nowhere/id]}\nnodes:\n";
    unknown_jump_host_suggests_one: "nodes:\n" => "ssh: {jump: pc}\nnodes:\n";
    own_jump_host_is_refused: "platform: odroid-h4" => "platform: odroid-h4\n    ssh: {jump: pc2}";
    jump_ring_is_drawn: "platform: odroid-h4" => "platform: odroid-h4\n    ssh: {jump: pc3}\n  - name: pc3\n    address: 192.0.2.3\n    platform: odroid-h4\n    ssh: {jump: pc2}\n  - name: pc4\n    address: 192.0.2.4\n    platform: odroid-h4\n    ssh: {jump: pc3}";
    duplicate_key_shows_both_places: "    address: 192.0.2.2\n" => "    address: 192.0.2.2\n    address: 192.0.2.3\n";
    tab_is_pointed_at: "    address: 192.0.2.2\n" => "\taddress: 192.0.2.2\n";
    broken_yaml_is_pointed_at: "roles: [nomad-client]" => "roles: [nomad-client";
    broken_yaml_does_not_show_secrets: "  - kind: consul\n" => "  - kind: consul\n    secret: \"hunter2-and-more\n";
    second_document_is_refused: "services:\n" => "---\nservices:\n";
    unquoted_template_is_explained: "nodes:\n" => "variables:\n  a: {{ b }}\nnodes:\n";
    unknown_tag_is_refused: "  name: test" => "  name: !env test";
    alias_of_nothing_is_refused: "192.0.2.2" => "*nothing";
    empty_file_says_how_to_begin: "" => "# nothing but a comment\n";
    list_in_place_of_a_file_is_refused: "" => "- a\n- b\n";
    control_characters_do_not_reach_the_terminal: "name: pc2" => "\"na\\e[31mme\": \"\\e]0;x\\a\"\n    name: 'p\u{202e}c'";
}

#[test]
fn all_at_once() {
    assert_snapshot!(seen(
        r#"environment:
  name: staging
  protction: confirm
  stack: nomad
hashicorp:
  consul_version: 1.16
ssh:
  jump: bastian
nodes:
  - name: pc1
    address: 192.0.2.1
    platform: rpi5-ubuntu
    roles: [consul-server, microk8s, valt]
  - name: pc1
    address: 192.0.2.2
    platform: odroid-h4
    arch: arm64
    roles: [consul-server]
    color: red
  - address: 192.0.2.3
    platform: odroid
services:
  - kind: consul
    url: http://root:hunter2-and-more@pc1:8500
    nodes: [pc1, pc9]
  - kind: vault
    secret: hvs-hunter2-and-more
artifacts:
  consul:
    arm64: {source: "https://example.net/consul.deb", sha256: "12"}
"#
    ));
}
