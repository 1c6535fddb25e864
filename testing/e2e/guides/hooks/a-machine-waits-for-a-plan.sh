. "$HOOKS/a-machine-boots.sh"
labctl patch server 52-54-00-00-00-01 --type merge -p '{"spec": {"hostname": "web-1", "admin": {"user": "ops",
  "authorizedKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1lAeFJpGWTpUmTWDZd8dPiaLRK/ODk3IUnnMfEwHfW ops"]}}}'
