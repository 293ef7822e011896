#!/bin/sh
# slim.sh FOLDER: remove from a folder of installed packages what neither API nor app loads.
set -eu
cd "$1"
# Tests, headers, sources, and data of examples.
find . -depth -type d \( -name tests -o -name include \) -exec rm -r {} +
find . ! -type d \( -name '*.py[xid]' -o -name '*.px[di]' -o -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' -o -name '*.tp' \
    -o -name '*.map' -o -path './numpy/_core/_simd.*' \) -delete
rm -rf bin share pyarrow/src sklearn/datasets/data sklearn/datasets/descr sklearn/datasets/images
# Arrow's clients of Flight and S3, and the names that only a linker asks for; AVIF pictures; Plotly in notebooks.
rm -rf pyarrow/*flight*.so* pyarrow/*s3*.so* pyarrow/libarrow_python*.so pyarrow/libarrow_python*.so.*.* \
    PIL/_avif.* pillow.libs/libavif* plotly/labextension plotly/package_data/*.js
# OpenVINO for other processors than a CPU, for files of other programs, and for C.
rm -rf openvino/libs/cache.json openvino/libs/libopenvino_c.* openvino/tools openvino/frontend/*/
find openvino/libs \( -name '*_plugin*' ! -name '*_cpu_*' -o -name '*_frontend*' ! -name '*_ir_*' \) -delete
# Streamlit's charts and diagrams by others than Plotly.
(cd streamlit/static/static/js && find . \( -name '*Chart.*.js' ! -name 'Plotly*' -o -name '*[dD]iagram-*' -o -name 'elk-*' \
    -o -name 'embed.*' -o -name 'cytoscape*' \) -delete)
# SciPy brings a library of its own that NumPy has, too.
for library in numpy.libs/libgfortran*; do
    ! [ -f "scipy.libs/${library##*/}" ] || ln -sf "../$library" scipy.libs/
done
