#!/bin/sh
# The lines of the report.
status=0
is() { # NUMBER NAME GOT WANTED
    if [ "$3" = "$4" ]; then
        echo "ok $1 - $2"
    else
        echo "not ok $1 - $2"
        echo "# got '$3', wanted '$4'"
        status=1
    fi
}
echo 1..2
is 1 'a line for each product' "$(sh report.sh sales.csv | wc -l | tr -d ' ')" 2
is 2 'pieces, and what they cost' "$(sh report.sh sales.csv | head -n 1)" 'tea         5     17.50'
exit $status
