# Puts the network entry by which the machine was started first among what UEFI firmware starts, and the installed system second.

# Whether an entry, as efibootmgr shows it, is of the network.
lab_is_network() {
	case $1 in
		*PXE* | *HTTP* | */MAC\(* | *\(MAC:* | *IPv4\(* | *IPv6\(* | *Network*) return 0 ;;
		*) return 1 ;;
	esac
}

# What efibootmgr shows of an entry, from what it says and the entry's number.
lab_boot_entry() {
	printf '%s\n' "$1" | sed -n "s/^Boot$2\*\{0,1\} *//p" | head -n 1
}

# The order that there should be, from what efibootmgr says and the name of the system's entry.
lab_network_first() {
	lab_now=$(printf '%s\n' "$1" | sed -n 's/^BootOrder: //p' | tr ',' ' ')
	lab_current=$(printf '%s\n' "$1" | sed -n 's/^BootCurrent: //p')
	lab_network=
	for lab_number in $lab_current $lab_now; do
		case " $lab_now " in *" $lab_number "*) ;; *) continue ;; esac
		if lab_is_network "$(lab_boot_entry "$1" "$lab_number")"; then
			lab_network=$lab_number
			break
		fi
	done
	lab_system=
	lab_others=
	for lab_number in $lab_now; do
		[ "$lab_number" != "$lab_network" ] || continue
		lab_name=$(lab_boot_entry "$1" "$lab_number" | cut -f 1 | tr '[:upper:]' '[:lower:]')
		if [ "$lab_name" = "$2" ]; then lab_system=$lab_system,$lab_number; else lab_others=$lab_others,$lab_number; fi
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
