# Tells the boot server what is being done, and ends the installation where something fails.
#
# The variables lab_site, lab_host, lab_port, lab_token and lab_dir are set before.

lab_stage=installer
lab_line=0
lab_told=no
mkdir -p "$lab_dir"

# Sends a file to a path of the boot server. Debian's installer has neither curl nor a wget that can send. An installation does not
# end because nobody listens.
lab_post() {
	if command -v curl >/dev/null 2>&1; then
		curl --silent --fail --max-time 15 --retry 2 --output /dev/null --data-binary "@$2" "$lab_site/$1" </dev/null || :
	else
		{
			printf 'POST /%s HTTP/1.0\r\nHost: %s\r\nContent-Length: %s\r\n\r\n' "$1" "$lab_host" "$(($(wc -c <"$2")))"
			cat "$2"
		} | nc "$lab_host" "$lab_port" >/dev/null 2>&1 || :
	fi
}

# Text as it can stand in a JSON string.
lab_json() {
	printf '%s' "$1" | tr '\n\t' '  ' | tr -cd '\040-\176' | cut -c 1-400 | sed 's/[\\"]/\\&/g'
}

# Reports a stage, how it ended, and what there is to say of it.
lab_report() {
	lab_outcome=
	lab_message=
	[ -z "${2:-}" ] || lab_outcome=", \"outcome\": \"$2\""
	[ -z "${3:-}" ] || lab_message=", \"message\": \"$(lab_json "$3")\""
	printf '{"stage": "%s"%s%s}\n' "$1" "$lab_outcome" "$lab_message" >"$lab_dir/report"
	lab_post "stage/$lab_token" "$lab_dir/report"
}

lab_begin() {
	lab_stage=$1
	lab_report "$lab_stage"
}

lab_done() {
	lab_report "$lab_stage" "${2:-done}" "${1:-}"
}

# Ends the installation.
lab_fail() {
	lab_told=yes
	printf 'failed in stage %s, line %s: %s\n' "$lab_stage" "$lab_line" "$1" >&2
	lab_report "$lab_stage" failed "line $lab_line: $1"
	exit 1
}

# Runs a command that stands in a line of this number; where it fails, what it said last is reported.
lab_try() {
	lab_line=$1
	shift
	lab_status=0
	"$@" >"$lab_dir/output" 2>&1 || lab_status=$?
	cat "$lab_dir/output" >&2
	if [ "$lab_status" -ne 0 ]; then
		[ ! -s "$lab_dir/output" ] || lab_post "log/$lab_token" "$lab_dir/output"
		lab_fail "$* ended with $lab_status: $(tail -n 1 "$lab_dir/output")"
	fi
}

# What nothing else reported.
lab_ended() {
	if [ "$1" -ne 0 ] && [ "$lab_told" = no ]; then
		lab_report "$lab_stage" failed "line $lab_line: the script ended with $1"
	fi
}

trap 'lab_ended $?' EXIT
