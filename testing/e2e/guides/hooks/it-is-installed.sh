# What the installation would write of it.
labctl patch server web-1 --subresource status --type merge -p '{"status": {"phase": "Installed", "stage": null, "percent": null,
  "install": {"operatingSystem": "debian-13", "layout": "labvg", "plan": "'"$(labctl get server web-1 -o jsonpath='{.status.plan.hash}')"'"}}}'
