#!/bin/sh
# Says to partman what becomes of each partition and volume, as a person would in its menu.
# What is not in the table is left as it is, and is not mounted.

set -e
. /lib/partman/lib/base.sh

# Sets what becomes of one: its folder, then a line of the table.
lab_assign() {
	mkdir -p "$1/options"
	echo "$3" >"$1/method"
	if [ "$6" = format ]; then
		: >"$1/format"
	else
		rm -f "$1/format"
	fi
	: >"$1/formatable"
	[ "$3" != swap ] || return 0
	: >"$1/use_filesystem"
	echo "$4" >"$1/filesystem"
	[ "$3" != efi ] || return 0
	echo "$5" >"$1/mountpoint"
	for option in $(echo "$7" | tr ',' ' '); do
		[ "$option" = defaults ] || echo "$option" >"$1/options/$option"
	done
}

for dev in /var/lib/partman/devices/*; do
	[ -d "$dev" ] || continue
	cd "$dev"
	found=
	open_dialog PARTITIONS
	# shellcheck disable=SC2034 # the dialog says more than is looked at
	while { read_line num id size type fs path name; [ "$id" ]; }; do
		[ "$fs" = free ] || found="$found $id,$path"
	done
	close_dialog
	for pair in $found; do
		id=${pair%%,*}
		node=$(readlink -f "${pair#*,}")
		while read -r device method kind mount format options; do
			if [ "$(readlink -f "$device")" = "$node" ]; then
				lab_assign "$dev/$id" "$device" "$method" "$kind" "$mount" "$format" "$options"
				update_partition "$dev" "$id"
			fi
		done </tmp/lab-assign
	done
done
