. "$HOOKS/a-machine-waits-for-a-plan.sh"
labctl patch server web-1 --subresource status --type merge -p '{"status": {"phase": "Discovering", "conditions": [{"type": "NetworkBoot",
  "status": "False", "reason": "OtherServerWon", "message": "it took another server'"'"'s answer; choose mode proxy",
  "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}'
