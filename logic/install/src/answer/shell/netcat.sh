# A shell over the network, for the one who first says the token of this boot. Nothing is encrypted: for a network that is trusted, and
# where SSH does not work.
#
#   curl http://BASTION/answers/TOKEN/shell.sh | sh     on the machine
#   nc MACHINE 4444                                     elsewhere; the first line is the token

lab_pipe=$(mktemp -u)
mkfifo -m 600 "$lab_pipe"
trap 'rm -f "$lab_pipe"' EXIT
echo "waiting for one caller on port $lab_port"
nc -l -p "$lab_port" <"$lab_pipe" | {
	IFS= read -r lab_word
	if [ "$lab_word" = "$lab_token" ]; then
		exec sh -i
	fi
	echo "wrong token"
} >"$lab_pipe" 2>&1
