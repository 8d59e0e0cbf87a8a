//! The SSH client: one kept connection per host, several channels, known hosts, jump hosts.
