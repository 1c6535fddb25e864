# What the boot server and the discovery system would write of it.
labctl wait bastions --all --for condition=Serving --timeout 60s
labctl create -f - <<EOF
{"apiVersion": "metal.lab/v1alpha1", "kind": "Server", "metadata": {"name": "52-54-00-00-00-01"}, "spec": {"macs": ["52:54:00:00:00:01"]}}
EOF
labctl patch server 52-54-00-00-00-01 --subresource status --type merge -p '{"status": {
  "phase": "Discovered", "bastion": "'"$(labctl get bastions -o jsonpath='{.items[0].metadata.name}')"'", "addresses": ["192.0.2.77"],
  "hardware": {"architecture": "amd64", "memoryBytes": 8589934592, "firmware": {"type": "uefi"}},
  "boot": {"firmware": "uefi", "answer": "discovery", "step": "heard"},
  "disks": [{"name": "vda", "serial": "QEMU-1", "sizeBytes": 107374182400, "transport": "virtio"}],
  "nics": [{"name": "eth0", "mac": "52:54:00:00:00:01", "link": true}],
  "conditions": [{"type": "Discovered", "status": "True", "reason": "Reported", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}'
