# Finds the disk that the plan was approved for, and takes no other.
#
# The variables lab_sys and lab_dev are set before: where the kernel shows devices, and where their nodes are.

# What a file says, without the blanks around it.
lab_text() {
	[ ! -r "$1" ] || tr -d '\000' <"$1" 2>/dev/null | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' | head -n 1
}

# The serial number: virtio has it at the disk, NVMe at the device, SCSI in page 0x80 from its fifth byte on.
lab_serial() {
	for lab_file in serial device/serial; do
		lab_value=$(lab_text "$lab_sys/block/$1/$lab_file")
		if [ -n "$lab_value" ]; then
			printf '%s' "$lab_value"
			return 0
		fi
	done
	if [ -r "$lab_sys/block/$1/device/vpd_pg80" ]; then
		tail -c +5 "$lab_sys/block/$1/device/vpd_pg80" 2>/dev/null | tr -d '\000' | sed 's/^[[:space:]]*//; s/[[:space:]]*$//'
	fi
}

# The world wide name, in the form in which the plan has it.
lab_wwn() {
	for lab_file in wwid device/wwid; do
		lab_value=$(lab_text "$lab_sys/block/$1/$lab_file")
		case $lab_value in
			naa.*)
				printf '0x%s' "${lab_value#naa.}"
				return 0
				;;
			eui.* | uuid.*)
				printf '%s' "$lab_value"
				return 0
				;;
		esac
	done
}

# Every disk, in the order in which they are preferred: NVMe, SATA and SAS, virtio, others.
lab_disks() {
	for lab_kind in nvme sd vd xvd mmcblk; do
		for lab_path in "$lab_sys/block/$lab_kind"*; do
			[ ! -e "$lab_path/device" ] || printf '%s\n' "${lab_path##*/}"
		done
	done
}

# Sets lab_disk to the disk with this serial number, world wide name and number of bytes.
lab_find_disk() {
	lab_disk=
	lab_seen=
	for lab_name in $(lab_disks); do
		lab_has="$(lab_serial "$lab_name") $(lab_wwn "$lab_name") $(($(lab_text "$lab_sys/block/$lab_name/size") * 512))"
		lab_seen="$lab_seen; $lab_name: $lab_has"
		[ "$lab_has" = "$1 $2 $3" ] || continue
		[ -z "$lab_disk" ] || lab_fail "$lab_disk and $lab_name both look like the approved disk"
		lab_disk=$lab_name
	done
	[ -n "$lab_disk" ] || lab_fail "no disk has serial '$1', WWN '$2' and $3 bytes, as the approved plan says$lab_seen"
	for lab_flag in removable ro; do
		[ "$(lab_text "$lab_sys/block/$lab_disk/$lab_flag")" != 1 ] || lab_fail "$lab_disk is removable or read-only"
	done
	case $(readlink -f "$lab_sys/block/$lab_disk") in
		*/usb[0-9]*) lab_fail "$lab_disk is a USB disk" ;;
	esac
	printf '%s\n' "$lab_disk" >"$lab_dir/disk"
}

# The device of a partition of the disk.
lab_partition() {
	case $lab_disk in
		*[0-9]) printf '%s/%sp%s' "$lab_dev" "$lab_disk" "$1" ;;
		*) printf '%s/%s%s' "$lab_dev" "$lab_disk" "$1" ;;
	esac
}

# One property of what stands on a device.
lab_tag() {
	blkid -p -s "$1" -o value "$2" 2>/dev/null | head -n 1 || :
}

# What stands on the disk: table:identifier:type:identifier of the whole, then ;number:type:identifier of each partition.
lab_contents() {
	lab_whole=$lab_dev/$lab_disk
	lab_table=$(lab_tag PTTYPE "$lab_whole")
	printf '%s:%s:%s:%s' "$lab_table" "$(lab_tag PTUUID "$lab_whole")" "$(lab_tag TYPE "$lab_whole")" "$(lab_tag UUID "$lab_whole")"
	for lab_number in $(cat "$lab_sys/block/$lab_disk/$lab_disk"*/partition 2>/dev/null | sort -n); do
		lab_part=$(lab_partition "$lab_number")
		printf ';%s:%s:%s' "$lab_number" "$(lab_tag TYPE "$lab_part")" "$(lab_tag UUID "$lab_part")"
	done
}

# Whether the disk is as one of these patterns says. They are in lower case, and so is what is compared.
lab_check_contents() {
	lab_now=$(lab_contents | tr '[:upper:]' '[:lower:]')
	for lab_pattern in "$@"; do
		# shellcheck disable=SC2254 # it is a pattern
		case $lab_now in $lab_pattern) return 0 ;; esac
	done
	lab_fail "$lab_disk has changed since the plan was made and has to be looked at again: it holds $lab_now, planned was for $1"
}

# Whether the volume group is the one that the plan was made for.
lab_check_group() {
	lab_now=$(vgs --devicesfile "" --noheadings --options vg_uuid "$1" 2>/dev/null | tr -d ' ')
	[ "$lab_now" = "$2" ] || lab_fail "volume group $1 has identifier '$lab_now', the plan was made for $2"
}

# Whether a volume that is kept is there, has its size, and holds what it is kept for.
lab_check_volume() {
	lab_now=$(lvs --devicesfile "" --noheadings --nosuffix --units b --options lv_size "$1" 2>/dev/null | tr -d ' ')
	[ "$lab_now" = "$2" ] || lab_fail "volume $1 has '$lab_now' bytes, the plan was made for $2"
	lab_now=$(lab_tag UUID "$lab_dev/$1")
	[ "$lab_now" = "$3" ] || lab_fail "volume $1 holds '$lab_now', the plan was made for '$3'"
}

# Takes down the volume groups on the disk, and wipes every signature on it: those in partitions first.
lab_wipe_disk() {
	for lab_group in $(pvs --devicesfile "" --noheadings --options pv_name,vg_name 2>/dev/null |
		sed -n "s|^ *${lab_dev}/${lab_disk}[p0-9]* \{1,\}\([^ ]\{1,\}\).*|\1|p"); do
		vgchange --devicesfile "" --activate n "$lab_group" || return 1
	done
	for lab_number in $(cat "$lab_sys/block/$lab_disk/$lab_disk"*/partition 2>/dev/null | sort -n); do
		wipefs --all --force "$(lab_partition "$lab_number")" || return 1
	done
	wipefs --all --force "$lab_dev/$lab_disk"
}

# Waits until the kernel shows a new partition.
lab_await() {
	udevadm settle --timeout 30 || :
	for lab_second in 1 2 3 4 5 6 7 8 9 10; do
		[ ! -e "$1" ] || return 0
		sleep "$lab_second"
	done
	return 1
}
