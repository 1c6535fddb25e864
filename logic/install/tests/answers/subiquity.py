"""Whether user-data keeps the rules that Subiquity publishes for autoinstalls, and curtin for storage."""

import sys
import yaml

KINDS = {
    "version": int, "early-commands": list, "reporting": dict, "error-commands": list, "user-data": dict,
    "packages": list, "locale": str, "refresh-installer": dict, "keyboard": dict, "apt": dict, "storage": dict,
    "ssh": dict, "timezone": str, "updates": str, "late-commands": list, "shutdown": str,
}


def check(path):
    text = open(path).read()
    assert text.startswith("#cloud-config\n")
    top = yaml.safe_load(text)
    assert list(top) == ["autoinstall"], "nothing may stand beside autoinstall"
    tree = top["autoinstall"]
    for key, value in tree.items():
        assert key in KINDS, f"Subiquity does not know {key}"
        assert isinstance(value, KINDS[key]), f"{key} is a {type(value)}"
    assert tree["version"] == 1
    for key in ("early-commands", "late-commands", "error-commands"):
        for command in tree[key]:
            assert isinstance(command, (str, list)) and all(isinstance(word, str) for word in command), command
    assert all(isinstance(name, str) for name in tree["packages"])
    assert set(tree["refresh-installer"]) <= {"update", "channel"} and isinstance(tree["refresh-installer"]["update"], bool)
    assert set(tree["keyboard"]) <= {"layout", "variant", "toggle"} and isinstance(tree["keyboard"]["layout"], str)
    assert all(isinstance(handler["type"], str) for handler in tree["reporting"].values())
    assert isinstance(tree["ssh"]["install-server"], bool) and isinstance(tree["ssh"]["allow-pw"], bool)
    assert tree["updates"] in ("security", "all") and tree["shutdown"] in ("reboot", "poweroff")
    assert "identity" in tree or "user-data" in tree, "one of them is needed"

    # curtin: what an action refers to stands before it, and has the right type.
    actions = {}
    refers = {
        "partition": {"device": "disk"}, "lvm_volgroup": {"devices": "partition"}, "lvm_partition": {"volgroup": "lvm_volgroup"},
        "format": {"volume": ("partition", "lvm_partition")}, "mount": {"device": "format"}, "disk": {},
    }
    end = 0
    for action in tree["storage"]["config"]:
        assert action["id"] not in actions, action
        for field, kind in refers[action["type"]].items():
            named = action[field] if isinstance(action[field], list) else [action[field]]
            for name in named:
                assert actions[name]["type"] in kind, (action, actions[name])
        if action["type"] == "partition":
            assert action["offset"] >= end and action["size"] > 0, "partitions overlap"
            end = action["offset"] + action["size"]
        actions[action["id"]] = action
    mounts = [action["path"] for action in actions.values() if action["type"] == "mount"]
    assert "/" in mounts and len(mounts) == len(set(mounts)), mounts
    assert sum(1 for action in actions.values() if action.get("grub_device")) == 1, "there is one boot device"


for path in sys.argv[1:]:
    check(path)
