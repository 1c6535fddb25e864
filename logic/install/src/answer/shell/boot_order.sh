# Puts the network first among what UEFI firmware starts, and the installed system second.

# The order that there should be, from what efibootmgr says and the name of the system's entry.
lab_network_first() {
	lab_network=
	lab_system=
	lab_others=
	for lab_number in $(printf '%s\n' "$1" | sed -n 's/^BootOrder: //p' | tr ',' ' '); do
		lab_entry=$(printf '%s\n' "$1" | sed -n "s/^Boot$lab_number\*\{0,1\} *//p" | head -n 1)
		lab_name=$(printf '%s' "$lab_entry" | cut -f 1 | tr '[:upper:]' '[:lower:]')
		case $lab_entry in
			*PXE* | *HTTP* | */MAC\(* | *\(MAC:* | *IPv4\(* | *IPv6\(* | *Network*) lab_network=$lab_network,$lab_number ;;
			*) if [ "$lab_name" = "$2" ]; then lab_system=$lab_system,$lab_number; else lab_others=$lab_others,$lab_number; fi ;;
		esac
	done
	lab_order=$lab_network$lab_system$lab_others
	printf '%s' "${lab_order#,}"
}

# Sets the order by the command given. A machine whose firmware refuses is installed all the same: the stage is skipped, and says why.
lab_boot_order() {
	lab_entry_name=$1
	shift
	if ! lab_entries=$("$@" efibootmgr -v 2>&1); then
		lab_done "efibootmgr: $lab_entries" skipped
		return 0
	fi
	lab_wanted=$(lab_network_first "$lab_entries" "$lab_entry_name")
	if [ -z "$lab_wanted" ]; then
		lab_done "the firmware has no boot order" skipped
	elif "$@" efibootmgr --quiet --bootorder "$lab_wanted"; then
		lab_done "$lab_wanted"
	else
		lab_done "the firmware refused the order $lab_wanted" skipped
	fi
}
