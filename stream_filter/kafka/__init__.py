"""The data plane on aiokafka: poll, hand to the gate, emit, commit."""
