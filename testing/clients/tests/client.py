"""The Python client creates, watches and updates our kinds; run by python.rs with KUBECONFIG set."""

import threading
import time

from kubernetes import client, config, watch

GROUP, VERSION, PLURAL = "metal.lab", "v1alpha1", "servers"

config.load_kube_config()
core = client.CoreV1Api()
custom = client.CustomObjectsApi()

# Typed objects of Kubernetes' own kinds.
core.create_namespace({"metadata": {"name": "python"}})
core.create_namespaced_config_map("python", client.V1ConfigMap(metadata={"name": "m"}, data={"a": "1"}))
core.patch_namespaced_config_map("m", "python", {"data": {"b": "2"}})
assert core.read_namespaced_config_map("m", "python").data == {"a": "1", "b": "2"}

# A stale write is refused.
stale = core.read_namespaced_config_map("m", "python")
core.patch_namespaced_config_map("m", "python", {"data": {"c": "3"}})
try:
    core.replace_namespaced_config_map("m", "python", stale)
    raise AssertionError("a stale write went through")
except client.ApiException as e:
    assert e.status == 409, e

# Our kinds, watched while they change.
seen = []


def observe():
    stream = watch.Watch().stream(
        custom.list_cluster_custom_object, GROUP, VERSION, PLURAL, timeout_seconds=20
    )
    for event in stream:
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if event["type"] == "DELETED":
            return


observer = threading.Thread(target=observe)
observer.start()
time.sleep(0.5)
body = {
    "apiVersion": f"{GROUP}/{VERSION}",
    "kind": "Server",
    "metadata": {"name": "snake"},
    "spec": {"hostname": "snake.example.org"},
}
created = custom.create_cluster_custom_object(GROUP, VERSION, PLURAL, body)
assert created["metadata"]["generation"] == 1
custom.patch_cluster_custom_object_status(GROUP, VERSION, PLURAL, "snake", {"status": {"phase": "Discovered"}})
read = custom.get_cluster_custom_object(GROUP, VERSION, PLURAL, "snake")
assert read["status"]["phase"] == "Discovered", read
read["spec"]["hostname"] = "python.example.org"
custom.replace_cluster_custom_object(GROUP, VERSION, PLURAL, "snake", read)
pages, token = 0, None
for name in ("one", "two"):
    custom.create_cluster_custom_object(GROUP, VERSION, PLURAL, {**body, "metadata": {"name": name}})
while token != "":
    page = custom.list_cluster_custom_object(GROUP, VERSION, PLURAL, limit=1, _continue=token or "")
    pages, token = pages + 1, page["metadata"].get("continue", "")
assert pages == 3, pages
custom.delete_cluster_custom_object(GROUP, VERSION, PLURAL, "snake")
observer.join(timeout=20)
assert not observer.is_alive()
mine = [kind for kind, name in seen if name == "snake"]
assert mine == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"], mine
core.delete_namespace("python")
print("the Python client is content")
