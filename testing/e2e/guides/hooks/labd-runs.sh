cargo xtask package
apt-get install -y ./target/package/labd_*.deb ./target/package/labctl_*.deb ./target/package/bastion_*.deb
install -d /srv/lab
cargo xtask artefacts discovery --out /srv/lab
cargo xtask artefacts debian-13 --out /srv/lab
echo 'files = "/srv/lab"' >>/etc/lab/labd.toml
systemctl enable --now labd
mkdir -p ~/.kube
cp /var/lib/lab/admin.kubeconfig ~/.kube/config
labctl apply -f /srv/lab/images/debian-13/operating-system.json
labctl apply -f - <<EOF
{"apiVersion": "metal.lab/v1alpha1", "kind": "Network", "metadata": {"name": "lan"},
 "spec": {"cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "dhcp": {"mode": "proxy"}}}
EOF
CA_HASH=$(journalctl -u labd | grep -o 'sha256:[0-9a-f]*' | head -n 1)
export CA_HASH
echo "export CA_HASH=$CA_HASH" >ca-hash
