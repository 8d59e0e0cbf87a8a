//! HTTP with deadlines and limits, for adapters, downloads and `http` steps.
