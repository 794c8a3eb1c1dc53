"""The laboratory: what measures, records, publishes and runs many. Nothing in `cnnlib` outside this folder imports it."""
