//! HTTP over admission and store: read, write, watch, patch, discovery, tables, OpenAPI.
