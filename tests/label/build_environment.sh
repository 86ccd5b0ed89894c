#!/usr/bin/env bash
# Builds .venv-label: MONAI Label and this package on the CPU, pinned by constraints-label.txt.
# Does nothing when the environment is up to date.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.venv-label
stamp=$venv/.stamp
inputs=(constraints-label.txt setup.cfg setup.py tests/label/build_environment.sh)
fresh=$(cat "${inputs[@]}" | sha256sum)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$fresh" ]; then
    exit 0
fi

echo "building $venv"
rm -f "$stamp"
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check install -q -c constraints-label.txt)

# MONAI Label itself comes without its dependencies: sam2 and torchvision, which it lists, have no CPU build
# everywhere and are not used for bundles. What it does use is named here.
"${pip[@]}" -e '.[test]' \
    bcrypt cachetools dicomweb-client einops expiring_dict expiringdict fastapi filelock girder-client google-auth \
    httpx itk numpymaxflow passlib pydantic pydantic-settings pyjwt pynetdicom pynrrd python-dotenv python-multipart \
    pyyaml requests requests-toolbelt schedule scikit-image scikit-learn shapely urllib3 uvicorn watchdog
"${pip[@]}" --no-deps monailabel pydicom-seg timeloop

echo "$fresh" >"$stamp"
