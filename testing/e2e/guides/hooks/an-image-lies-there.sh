install -d /srv/lab/images/mine
head -c 200000 /dev/zero >/srv/lab/images/mine/root.tar.zst
labctl apply -f - <<EOF
{"apiVersion": "metal.lab/v1alpha1", "kind": "OperatingSystem", "metadata": {"name": "debian-13-installer"},
 "spec": {"family": "debian", "release": "13", "codename": "trixie", "method": "preseed", "architecture": "amd64",
  "artefacts": [
   {"name": "linux", "purpose": "kernel", "url": "https://mirror.lab.example/linux", "checksum": "sha256:$(printf %064d 1)"},
   {"name": "initrd.gz", "purpose": "initrd", "url": "https://mirror.lab.example/initrd.gz", "checksum": "sha256:$(printf %064d 2)"}],
  "repositories": [{"name": "main", "url": "http://mirror.lab.example/debian"}]}}
EOF
