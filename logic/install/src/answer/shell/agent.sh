# Fetches the executable of the new system's agent, and lets none in that is not the one that was meant.

# Fetches a file of the boot server. Debian's installer has a wget, and no curl.
lab_fetch() {
	if command -v curl >/dev/null 2>&1; then
		curl --silent --show-error --fail --connect-timeout 15 --max-time 600 --retry 5 --output "$2" "$lab_site/$1" </dev/null
	else
		wget -q -T 60 -O "$2" "$lab_site/$1" </dev/null
	fi
}

# Puts the executable in its place: from a path of the boot server, with this SHA-256, tried by the command given. Sets lab_agent where it
# is there. One that does not come or does not run leaves the machine without; one that is another than was meant ends the installation.
lab_fetch_agent() {
	lab_agent=
	lab_path=$1
	lab_meant=$2
	lab_place=$3
	shift 3
	mkdir -p "${lab_place%/*}"
	if ! lab_fetch "$lab_path" "$lab_place" >"$lab_dir/output" 2>&1; then
		rm -f "$lab_place"
		lab_done "no agent is installed: $lab_site/$lab_path did not come; the machine can join by hand: $(tail -n 1 "$lab_dir/output")" skipped
		return 0
	fi
	lab_found=$(sha256sum <"$lab_place" | cut -d ' ' -f 1)
	if [ "$lab_found" != "$lab_meant" ]; then
		rm -f "$lab_place"
		lab_fail "$lab_site/$lab_path has SHA-256 $lab_found and not $lab_meant: it was replaced meanwhile, or altered on its way"
	fi
	chmod 755 "$lab_place"
	if ! "$@" >"$lab_dir/output" 2>&1; then
		rm -f "$lab_place"
		lab_done "no agent is installed: $lab_site/$lab_path does not run on this system; put a statically linked one there, and let the machine join by hand: $(tail -n 1 "$lab_dir/output")" skipped
		return 0
	fi
	lab_agent=yes
}
